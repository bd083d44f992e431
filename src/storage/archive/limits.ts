import type { Refuse } from './refusal.ts';

/** What an archive may cost before it is taken for a bomb. */
export interface ArchiveLimits {
  /** Bytes of all files together, links to files counted as copies. Callers lower it to the free disk. */
  readonly maxBytes: number;
  /** Files, directories and links. */
  readonly maxEntries: number;
  /** Unpacked bytes for one byte of the archive; looked at from `ratioFromBytes` on, since small files of zeros pack very well. */
  readonly maxRatio: number;
  readonly ratioFromBytes: number;
  /** Names in one path, the file's own included. */
  readonly maxDepth: number;
}

export const DEFAULT_ARCHIVE_LIMITS: ArchiveLimits = {
  maxBytes: 512 * 1024 ** 3,
  maxEntries: 100_000,
  maxRatio: 200,
  ratioFromBytes: 64 * 1024 ** 2,
  maxDepth: 32,
};

/** Headers, padding and long names that one tar entry brings along. */
const TAR_FRAME_BYTES = 2048;

/** Counts what an archive unpacks to, and refuses as soon as a limit is passed: declared sizes are only promises. */
export class Meter {
  readonly #limits: ArchiveLimits;
  readonly #archiveBytes: number;
  readonly #refuse: Refuse;
  #bytes = 0;
  #entries = 0;
  #streamBytes = 0;

  constructor(limits: ArchiveLimits, archiveBytes: number, refuse: Refuse) {
    this.#limits = limits;
    this.#archiveBytes = archiveBytes;
    this.#refuse = refuse;
  }

  /** Bytes of content counted so far. */
  get bytes(): number {
    return this.#bytes;
  }

  addEntry(name: string): void {
    this.#entries += 1;
    const { maxEntries } = this.#limits;
    if (this.#entries > maxEntries) throw this.#refuse(name, `is one more than the ${maxEntries} entries allowed`, 'pack fewer files');
  }

  /** Refuses a promise that would pass a limit, before anything is written for it. */
  expect(name: string, bytes: number): void {
    this.#check(name, this.#bytes + bytes, this.#limits.maxBytes);
  }

  add(name: string, bytes: number): void {
    this.#bytes += bytes;
    this.#check(name, this.#bytes, this.#limits.maxBytes);
  }

  /** Bytes out of the decompressor: also holds what is no file's content, such as endless headers or zeros. */
  addStream(bytes: number): void {
    this.#streamBytes += bytes;
    this.#check(undefined, this.#streamBytes, this.#limits.maxBytes + this.#limits.maxEntries * TAR_FRAME_BYTES);
  }

  #check(name: string | undefined, bytes: number, maxBytes: number): void {
    const { maxRatio, ratioFromBytes } = this.#limits;
    if (bytes > maxBytes) {
      throw this.#refuse(name, `makes ${bytes} bytes or more unpacked, over the limit of ${maxBytes}`, 'pack less, or allow more bytes or disk');
    }
    if (bytes > ratioFromBytes && bytes > this.#archiveBytes * maxRatio) {
      const ratio = Math.ceil(bytes / Math.max(this.#archiveBytes, 1));
      throw this.#refuse(
        name,
        `makes the archive unpack to ${ratio} times its ${this.#archiveBytes} bytes, over the limit of ${maxRatio}`,
        'store such files uncompressed if they are meant',
      );
    }
  }
}
