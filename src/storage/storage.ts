import type { Logger } from '../core/context.ts';

export type ChecksumAlgorithm = 'crc32' | 'crc32c' | 'crc64nvme' | 'md5' | 'sha1' | 'sha256';

/** Of a whole file, never of a part or of parts: what a store gives for those is no checksum of what lies on disk. */
export interface Checksum {
  readonly algorithm: ChecksumAlgorithm;
  readonly hex: string;
}

export interface RemoteFile {
  /** Where it goes below the destination: relative, with `/`. Stores name it; it is checked before anything is written. */
  readonly path: string;
  /** The source's own name for it. */
  readonly key: string;
  /** Bytes; undefined where the store does not tell. Such a file is read in one go. */
  readonly size: number | undefined;
  /** Changes when the content does. */
  readonly etag?: string;
  readonly checksum?: Checksum;
  /** The store gives it whole only. */
  readonly isWholeOnly?: true;
  /** The URI names this very file; patterns do not apply to it. */
  readonly isExact?: true;
}

/** Bytes `start` to `end - 1`. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

export interface RemoteBytes {
  /** A chunk is valid until the next one is asked for. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Of the whole file, when the answer carries one. */
  readonly checksum?: Checksum;
  readonly etag?: string;
}

/**
 * Files of one URI in a store. Failures that may pass are `TransientFailure`s, all others ServingErrors; retries, timeouts and parallel reads are the
 * caller's. Every promise and body ends soon after the signal aborts.
 */
export interface StorageSource {
  /** The store and the path in it, without credentials: sources of one identity that list the same versions have the same bytes. The URI without it. */
  readonly identity?: string;
  /** Every file below the URI, in no particular order. Rejects when there is none. Says so whenever a page of the listing has come. */
  list(watch: StoreWatch): Promise<readonly RemoteFile[]>;
  /** Bytes of a file, or all of it without `range`. Must fail when the file is no longer the one that was listed. Says so whenever bytes have come. */
  read(file: RemoteFile, range: ByteRange | undefined, watch: StoreWatch): Promise<RemoteBytes>;
  /** Adds facts that a listing lacks; asked for files that are read in several ranges. */
  describe?(file: RemoteFile, watch: StoreWatch): Promise<RemoteFile>;
  /** What the variables of this kind of store say about tries and timeouts. */
  readonly policy?: Partial<RetryPolicy>;
  dispose(): void;
}

export interface StoreWatch {
  readonly signal: AbortSignal;
  alive(): void;
}

export interface RetryPolicy {
  /** Tries in a row that may fail; what makes progress begins anew. */
  readonly maxAttempts: number;
  /** How long nothing may arrive: neither an answer nor the next bytes of one. */
  readonly stallTimeoutMs: number;
}

/** Files that are there already: they are linked to, not copied, as KServe does for paths. */
export interface LocalSource {
  /** The directory, or the one file. */
  readonly path: string;
  /** Entries to link: absolute targets by their names in the destination. */
  entries(): Promise<ReadonlyMap<string, string>>;
}

export type OpenedSource =
  | { readonly kind: 'remote'; readonly source: StorageSource }
  | { readonly kind: 'local'; readonly source: LocalSource }
  /** Where KServe mounts models already, there is nothing to do. */
  | { readonly kind: 'nothing' };

export type Environment = Readonly<Record<string, string | undefined>>;

export interface SourceContext {
  readonly env: Environment;
  readonly log: Logger;
  readonly maxConnections: number;
}

export type OpenSource = (uri: string, ctx: SourceContext) => Promise<OpenedSource>;

export interface DownloadProgress {
  readonly bytes: number;
  readonly totalBytes: number;
  readonly files: number;
  readonly totalFiles: number;
  readonly retries: number;
}

export interface DownloadReport {
  readonly uri: string;
  readonly destination: string;
  /** Read from the store; 0 of both for local files, which are linked. */
  readonly bytes: number;
  readonly files: number;
  readonly retries: number;
  readonly seconds: number;
  /** Files whose content nothing vouches for but its length: the store had no checksum of the whole file and no SHA256SUMS lists it. */
  readonly unverified: readonly string[];
  /** Nothing was fetched: the cache had it. */
  readonly isCached?: boolean;
  /** Name of the archive that was unpacked into the destination. */
  readonly unpacked?: string;
}
