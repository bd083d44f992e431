/** Names of gRPC's status codes; the code is the index. */
export const STATUS_NAMES = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
] as const;

export type StatusName = (typeof STATUS_NAMES)[number];

export function statusCode(name: StatusName): number {
  return STATUS_NAMES.indexOf(name);
}

/** The name of header `grpc-status`; UNKNOWN for what is no code. */
export function statusName(header: string | undefined): StatusName {
  return header !== undefined && /^\d{1,2}$/.test(header) ? (STATUS_NAMES[Number(header)] ?? 'UNKNOWN') : 'UNKNOWN';
}

/** Header `grpc-message`: UTF-8, percent-encoded but for printable ASCII without `%`. Lone surrogates become U+FFFD. */
export function encodeStatusMessage(text: string): string {
  if (/^[ -$&-~]*$/.test(text)) return text;
  let encoded = '';
  for (const byte of Buffer.from(text)) {
    encoded += byte >= 0x20 && byte <= 0x7e && byte !== 0x25 ? String.fromCharCode(byte) : `%${(byte + 0x100).toString(16).slice(1).toUpperCase()}`;
  }
  return encoded;
}

/** What is not properly encoded stays as it is: a message is for people and never an error of its own. */
export function decodeStatusMessage(header: string): string {
  if (!header.includes('%')) return header;
  const bytes = header.replace(/%([0-9A-Fa-f]{2})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 16)));
  return Buffer.from(bytes, 'latin1').toString();
}
