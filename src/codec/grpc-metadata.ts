/** Keys whose values are bytes, which travel as base64. */
export function isBinaryKey(key: string): boolean {
  return key.endsWith('-bin');
}

/** The rule of gRPC for custom metadata: keys in lower case of these characters, which may not begin with `grpc-`. */
export function isMetadataKey(key: string): boolean {
  return /^[0-9a-z_.-]+$/.test(key) && !key.startsWith('grpc-');
}

/** Values of keys without `-bin`: printable ASCII. */
export function isMetadataText(value: string): boolean {
  return /^[ -~]*$/.test(value);
}

/** Without padding, as the protocol asks of senders. */
export function encodeBinaryValue(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64').replace(/=+$/, '');
}

/** Takes base64 with and without padding. */
export function decodeBinaryValue(header: string): Buffer {
  return Buffer.from(header, 'base64');
}

/** The values of a header of key `…-bin`, which proxies may join by commas. */
export function splitBinaryValues(header: string): string[] {
  return header.split(',').map((value) => value.trim());
}
