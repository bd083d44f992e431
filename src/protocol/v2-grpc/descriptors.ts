import type { PackageDefinition } from '@grpc/proto-loader';

/**
 * The descriptors of `packages` as protoc would write them. protobufjs calls the entry type of map field `statuses` `Statuses`; the rule is `StatusesEntry`, and
 * readers in Go (grpcurl) refuse a descriptor that breaks it.
 */
export async function withMapEntryNames(packages: PackageDefinition): Promise<PackageDefinition> {
  const { default: descriptor } = await import('protobufjs/ext/descriptor/index.js');
  const corrected = new Map<Buffer, Buffer>();
  const correct = (bytes: Buffer): Buffer => {
    const known = corrected.get(bytes);
    if (known !== undefined) return known;
    const file = descriptor.FileDescriptorProto.toObject(descriptor.FileDescriptorProto.decode(bytes)) as FileDescriptor;
    for (const message of file.messageType ?? []) renameMapEntries(message);
    const done = Buffer.from(descriptor.FileDescriptorProto.encode(descriptor.FileDescriptorProto.fromObject(file)).finish());
    corrected.set(bytes, done);
    return done;
  };
  return Object.fromEntries(
    Object.entries(packages).map(([name, definition]) => {
      const files = definition.fileDescriptorProtos;
      return [name, Array.isArray(files) ? { ...definition, fileDescriptorProtos: files.map(correct) } : definition];
    }),
  ) as PackageDefinition;
}

interface FileDescriptor {
  readonly messageType?: MessageDescriptor[];
}

interface MessageDescriptor {
  name?: string;
  readonly field?: { typeName?: string }[];
  readonly nestedType?: MessageDescriptor[];
  readonly options?: { readonly mapEntry?: boolean };
}

function renameMapEntries(message: MessageDescriptor): void {
  for (const nested of message.nestedType ?? []) {
    renameMapEntries(nested);
    const { name } = nested;
    if (nested.options?.mapEntry !== true || name === undefined || name.endsWith('Entry')) continue;
    nested.name = `${name}Entry`;
    for (const field of message.field ?? []) if (field.typeName === name) field.typeName = nested.name;
  }
}
