import { open, type FileHandle } from 'node:fs/promises';
import { createHasher, isCombinable, type HashedPart, type Hasher } from './checksum.ts';
import type { ByteRange, Checksum, ChecksumAlgorithm, RemoteFile } from './storage.ts';

/** A read of its own: a range of a file, or all of it. */
export interface Piece {
  readonly file: FetchedFile;
  readonly range: ByteRange | undefined;
  readonly index: number;
}

/** A file on its way to disk. Opened by its first piece, closed by its last. */
export class FetchedFile {
  remote: RemoteFile;
  readonly path: string;
  /** By piece; for files in ranges whose checksum can be made of those of the ranges. */
  readonly parts: HashedPart[] = [];
  wrongContents = 0;
  bytes = 0;
  readonly #pieces: number;
  #answered: Checksum | undefined;
  #streamed: { readonly algorithm: ChecksumAlgorithm; readonly hasher: Hasher } | undefined;
  #handle: Promise<FileHandle> | undefined;
  #done = 0;
  #ranges: Piece[] = [];

  constructor(remote: RemoteFile, path: string, pieces: number) {
    this.remote = remote;
    this.path = path;
    this.#pieces = pieces;
  }

  /** What the store says: in the listing, or in the answer that held the file. */
  get checksum(): Checksum | undefined {
    return this.#answered ?? this.remote.checksum;
  }

  handle(): Promise<FileHandle> {
    return (this.#handle ??= open(this.path, 'w'));
  }

  /** For the bytes of a piece, in order; undefined when the checksum is made from the disk afterwards, or there is none. */
  hasherFor({ range }: Piece, answered: Checksum | undefined): Hasher | undefined {
    if (range === undefined) {
      this.#answered = answered;
      const algorithm = this.checksum?.algorithm;
      if (algorithm === undefined) return undefined;
      this.#streamed = { algorithm, hasher: createHasher(algorithm) };
      return this.#streamed.hasher;
    }
    const algorithm = this.checksum?.algorithm;
    return algorithm !== undefined && isCombinable(algorithm) ? createHasher(algorithm) : undefined;
  }

  streamedDigest(algorithm: ChecksumAlgorithm): string | undefined {
    return this.#streamed?.algorithm === algorithm ? this.#streamed.hasher.digest() : undefined;
  }

  finish(piece: Piece, bytes: number, hasher: Hasher | undefined): void {
    this.#done++;
    this.bytes += bytes;
    this.#ranges[piece.index] = piece;
    if (piece.range !== undefined && hasher !== undefined) this.parts[piece.index] = { hex: hasher.digest(), bytes };
  }

  isComplete(): boolean {
    return this.#done === this.#pieces;
  }

  async close(isDurable: boolean): Promise<void> {
    const handle = await this.#handle;
    this.#handle = undefined;
    try {
      if (isDurable) await handle?.sync();
    } finally {
      await handle?.close();
    }
  }

  /** Forgets what arrived; the pieces to fetch again. */
  restart(): readonly Piece[] {
    const pieces = this.#ranges;
    this.#ranges = [];
    this.#done = 0;
    this.bytes = 0;
    this.#answered = undefined;
    this.#streamed = undefined;
    return pieces;
  }
}
