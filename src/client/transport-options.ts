import type { TlsFiles } from './client.ts';

export interface TransportOptions {
  readonly address: URL;
  readonly authority: string | undefined;
  readonly isBinary: boolean;
  readonly maxResponseBytes: number;
  readonly maxConnections: number;
  readonly tls: TlsFiles;
}
