import type { FileHandle } from 'node:fs/promises';
import type { Hasher } from './checksum.ts';
import { cannotDownload, TransientFailure } from './failure.ts';
import type { Piece } from './fetched-file.ts';
import { retrying, type RetryContext, type Watch } from './retry.ts';
import type { DownloadProgress, RetryPolicy, StorageSource } from './storage.ts';

/** What must have arrived for failures to be counted anew: a store that gives a little each time is no endless loop. */
const PROGRESS_BYTES = 1024 * 1024;

export interface FetchDeps {
  readonly source: StorageSource;
  readonly uri: string;
  /** Exists, and nobody else writes to it. */
  readonly dir: string;
  readonly signal: AbortSignal;
  readonly policy: RetryPolicy;
  readonly parallel: number;
  readonly isDurable: boolean;
  /** Counted as things happen. */
  readonly progress: { -readonly [K in keyof DownloadProgress]: DownloadProgress[K] };
}

type PieceDeps = Pick<FetchDeps, 'source' | 'uri' | 'progress'>;

/** Brings a piece to disk; a read that breaks off is continued where it ended. */
export async function fetchPiece(piece: Piece, deps: PieceDeps, retry: RetryContext): Promise<void> {
  const transfer = new Transfer(piece, deps);
  await retrying(retry, (watch) => transfer.attempt(watch));
  transfer.finish();
}

class Transfer {
  readonly #piece: Piece;
  readonly #deps: PieceDeps;
  /** Bytes of the piece that are on disk and, where there is a hasher, in it. */
  #arrived = 0;
  #hasher: Hasher | undefined;

  constructor(piece: Piece, deps: PieceDeps) {
    this.#piece = piece;
    this.#deps = deps;
  }

  finish(): void {
    this.#piece.file.finish(this.#piece, this.#arrived, this.#hasher);
  }

  async attempt(watch: Watch): Promise<void> {
    const { file, range } = this.#piece;
    const handle = await file.handle();
    if (this.#arrived > 0 && !this.#canContinue()) await this.#startOver(handle);
    const start = range?.start ?? 0;
    const end = range?.end ?? file.remote.size;
    const isContinued = this.#arrived > 0;
    const wanted = isContinued && end !== undefined ? { start: start + this.#arrived, end } : range;
    const { body, checksum, etag } = await this.#deps.source.read(file.remote, wanted, watch);
    watch.alive();
    if (file.remote.etag === undefined && etag !== undefined) file.remote = { ...file.remote, etag };
    if (!isContinued) this.#hasher = file.hasherFor(this.#piece, checksum);
    await this.#receive(body, handle, end === undefined ? undefined : end - start, watch);
  }

  /** What arrived before a break is right; the next try goes on behind it. */
  async #receive(body: AsyncIterable<Uint8Array>, handle: FileHandle, length: number | undefined, watch: Watch): Promise<void> {
    const before = this.#arrived;
    try {
      for await (const chunk of body) {
        watch.alive();
        if (length !== undefined && this.#arrived + chunk.byteLength > length) throw this.#tooLong(length);
        await this.#take(chunk, handle);
        watch.alive();
      }
    } finally {
      if (this.#arrived - before >= PROGRESS_BYTES) watch.progressed();
    }
    if (length !== undefined && this.#arrived < length) {
      throw new TransientFailure(`the answer ended after ${this.#arrived} of ${length} bytes of ${JSON.stringify(this.#piece.file.remote.path)}`);
    }
  }

  /** A chunk is hashed while it is written. */
  async #take(chunk: Uint8Array, handle: FileHandle): Promise<void> {
    const writing = this.#write(chunk, handle);
    this.#hasher?.update(chunk);
    await writing;
    this.#arrived += chunk.byteLength;
    this.#deps.progress.bytes += chunk.byteLength;
  }

  async #write(chunk: Uint8Array, handle: FileHandle): Promise<void> {
    const start = (this.#piece.range?.start ?? 0) + this.#arrived;
    // A write may take less than it was given, when the disk is nearly full; the next one says why.
    for (let written = 0; written < chunk.byteLength;) {
      const { bytesWritten } = await handle.write(chunk, written, chunk.byteLength - written, start + written);
      written += bytesWritten;
    }
  }

  #canContinue(): boolean {
    const { remote } = this.#piece.file;
    // Without an ETag nothing says that the rest belongs to what arrived.
    return remote.size !== undefined && remote.isWholeOnly !== true && remote.etag !== undefined && this.#arrived < remote.size;
  }

  async #startOver(handle: FileHandle): Promise<void> {
    if (this.#piece.range === undefined) await handle.truncate(0);
    this.#deps.progress.bytes -= this.#arrived;
    this.#arrived = 0;
    this.#hasher = undefined;
  }

  #tooLong(length: number): Error {
    const { file } = this.#piece;
    return cannotDownload(
      'conflict',
      this.#deps.uri,
      `${JSON.stringify(file.remote.path)} changed while it was downloaded: expected ${length} bytes, got more; download again`,
    );
  }
}
