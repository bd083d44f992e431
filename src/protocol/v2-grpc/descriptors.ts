import { readFileSync } from 'node:fs';
import { decodeMessage, type FieldSchema, type MessageSchema } from '../../codec/index.ts';

/** The services of protos/ for server reflection. */
export interface Descriptors {
  readonly services: readonly string[];
  /** FileDescriptorProto messages. */
  readonly byName: ReadonlyMap<string, Uint8Array>;
  /** Under the full name of everything that a file defines. */
  readonly bySymbol: ReadonlyMap<string, Uint8Array>;
}

/** Written by `npm run docs`. The package's root lies three levels up from here, in the sources as in the build. */
const FILE = new URL('../../../protos/descriptors.json', import.meta.url);

let loaded: Descriptors | undefined;

/** Read when somebody asks first, which is rare. */
export function loadDescriptors(): Descriptors {
  return (loaded ??= indexDescriptors(JSON.parse(readFileSync(FILE, 'utf8')) as Readonly<Record<string, string>>));
}

/** The part of google/protobuf/descriptor.proto that names things. */
const NAMED: MessageSchema = { name: { number: 1, kind: 'string' } };
const ENUM: MessageSchema = { ...NAMED, members: { number: 2, kind: 'messages', of: NAMED } };
const SERVICE: MessageSchema = ENUM;
const MESSAGE: MessageSchema = {
  ...ENUM,
  get messages(): FieldSchema {
    return { number: 3, kind: 'messages', of: MESSAGE };
  },
  enums: { number: 4, kind: 'messages', of: ENUM },
};
const FILE_DESCRIPTOR: MessageSchema = {
  ...NAMED,
  package: { number: 2, kind: 'string' },
  messages: { number: 4, kind: 'messages', of: MESSAGE },
  enums: { number: 5, kind: 'messages', of: ENUM },
  services: { number: 6, kind: 'messages', of: SERVICE },
};

interface Scope {
  readonly name: string;
  /** Fields, methods or values. */
  readonly members?: readonly Scope[];
  readonly messages?: readonly Scope[];
  readonly enums?: readonly Scope[];
}

interface FileDescriptor extends Scope {
  readonly package: string;
  readonly services: readonly Scope[];
}

function indexDescriptors(files: Readonly<Record<string, string>>): Descriptors {
  const byName = new Map<string, Uint8Array>();
  const bySymbol = new Map<string, Uint8Array>();
  const services: string[] = [];
  for (const [name, base64] of Object.entries(files)) {
    const bytes = Buffer.from(base64, 'base64');
    const file = decodeMessage(FILE_DESCRIPTOR, bytes, name) as unknown as FileDescriptor;
    byName.set(name, bytes);
    const visit = (scope: Scope, outer: string): void => {
      const full = `${outer}.${scope.name}`;
      bySymbol.set(full, bytes);
      for (const inner of [...(scope.members ?? []), ...(scope.messages ?? []), ...(scope.enums ?? [])]) visit(inner, full);
    };
    for (const scope of [...(file.messages ?? []), ...(file.enums ?? []), ...file.services]) visit(scope, file.package);
    services.push(...file.services.map((service) => `${file.package}.${service.name}`));
  }
  return { services, byName, bySymbol };
}
