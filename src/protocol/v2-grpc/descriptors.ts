import type { PackageDefinition } from '@grpc/proto-loader';

/**
 * The descriptors of `packages` as protoc would write them, for readers like grpcurl. protobufjs calls the entry type of map field `statuses` `Statuses`, where the
 * rule is `StatusesEntry` and readers in Go refuse anything else; and it leaves out the JSON names.
 */
export async function asProtocWrites(packages: PackageDefinition): Promise<PackageDefinition> {
  const { default: descriptor } = await import('protobufjs/ext/descriptor/index.js');
  const corrected = new Map<Buffer, Buffer>();
  const correct = (bytes: Buffer): Buffer => {
    const known = corrected.get(bytes);
    if (known !== undefined) return known;
    const file = descriptor.FileDescriptorProto.toObject(descriptor.FileDescriptorProto.decode(bytes)) as FileDescriptor;
    for (const message of file.messageType ?? []) completeMessage(message);
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
  readonly field?: { readonly name?: string; typeName?: string; jsonName?: string }[];
  readonly nestedType?: MessageDescriptor[];
  readonly options?: { readonly mapEntry?: boolean };
}

function completeMessage(message: MessageDescriptor): void {
  for (const field of message.field ?? []) field.jsonName ??= (field.name ?? '').replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
  for (const nested of message.nestedType ?? []) {
    completeMessage(nested);
    const { name } = nested;
    if (nested.options?.mapEntry !== true || name === undefined || name.endsWith('Entry')) continue;
    nested.name = `${name}Entry`;
    for (const field of message.field ?? []) if (field.typeName === name) field.typeName = nested.name;
  }
}
