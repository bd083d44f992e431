import type { TlsFiles } from './client.ts';

export interface TransportOptions {
  readonly address: URL;
  readonly authority: string | undefined;
  readonly isBinary: boolean;
  readonly maxResponseBytes: number;
  readonly maxConnections: number;
  readonly tls: TlsFiles;
}

/** Node's TLS takes texts and Buffers; a plain Uint8Array it would refuse. */
export function pem(text: string | Uint8Array | undefined): Buffer | undefined {
  return text === undefined ? undefined : Buffer.from(text);
}
