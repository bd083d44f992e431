import { fileURLToPath } from 'node:url';
import { load } from '@grpc/proto-loader';
import descriptor from 'protobufjs/ext/descriptor/index.js';

interface FileDescriptor {
  readonly package?: string;
  name?: string;
  readonly messageType?: MessageDescriptor[];
}

interface MessageDescriptor {
  name?: string;
  readonly field?: { readonly name?: string; typeName?: string; jsonName?: string }[];
  readonly nestedType?: MessageDescriptor[];
  readonly options?: { readonly mapEntry?: boolean };
}

/** The services of protos/ as server reflection publishes them: FileDescriptorProto messages in base64, by the names of their files. */
export async function renderDescriptors(files: readonly string[]): Promise<string> {
  const rendered: Record<string, string> = {};
  for (const file of files) {
    const definitions = await load(fileURLToPath(new URL(`../protos/${file}`, import.meta.url)), { keepCase: true });
    const [bytes] = Object.values(definitions).flatMap((definition) => ('format' in definition ? (definition.fileDescriptorProtos as Buffer[]) : []));
    if (bytes === undefined) throw new Error(`No descriptor of ${file}`);
    rendered[file] = asProtocWrites(bytes, file).toString('base64');
  }
  return `${JSON.stringify(rendered, null, 2)}\n`;
}

/**
 * The descriptor as protoc would write it, for readers like grpcurl. protobufjs calls the entry type of map field `response_stats` `Response_stats`, where the
 * rule is `ResponseStatsEntry` and readers in Go refuse anything else; it leaves out the JSON names, and names the file after its package.
 */
function asProtocWrites(bytes: Buffer, name: string): Buffer {
  const file = descriptor.FileDescriptorProto.toObject(descriptor.FileDescriptorProto.decode(bytes)) as FileDescriptor;
  file.name = name;
  for (const message of file.messageType ?? []) completeMessage(message);
  return Buffer.from(descriptor.FileDescriptorProto.encode(descriptor.FileDescriptorProto.fromObject(file)).finish());
}

function completeMessage(message: MessageDescriptor): void {
  for (const field of message.field ?? []) field.jsonName ??= (field.name ?? '').replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
  for (const nested of message.nestedType ?? []) {
    completeMessage(nested);
    const { name } = nested;
    if (nested.options?.mapEntry !== true) continue;
    for (const field of message.field ?? []) {
      if (field.typeName !== name) continue;
      nested.name = `${(field.name ?? '').replace(/(?:^|_)(.)/g, (_, letter: string) => letter.toUpperCase())}Entry`;
      field.typeName = nested.name;
    }
  }
}
