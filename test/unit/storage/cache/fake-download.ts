import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { OpenDownload } from '../../../../src/storage/download.ts';

/** A download of files by their path whose fetches are counted and may be held, or fail. */
export class FakeDownload implements OpenDownload {
  readonly uri = 's3://models/m';
  readonly version: OpenDownload['version'];
  readonly totalBytes: number;
  fetches = 0;
  /** Awaited by each fetch before its first file. */
  onFetch: (destination: string) => Promise<void> = () => Promise.resolve();
  /** What `verify` finds wrong. */
  mistrust: string | undefined;
  readonly #files: Readonly<Record<string, string>>;

  constructor(files: Readonly<Record<string, string>>, isCertain = true) {
    this.#files = files;
    this.version = { digest: createHash('sha256').update(JSON.stringify(files)).digest('hex'), isCertain };
    this.totalBytes = Object.values(files).join('').length;
  }

  async to(destination: string): ReturnType<OpenDownload['to']> {
    this.fetches++;
    await this.onFetch(destination);
    for (const [path, text] of Object.entries(this.#files)) {
      mkdirSync(dirname(join(destination, path)), { recursive: true });
      writeFileSync(join(destination, path), text);
    }
    return { uri: this.uri, destination, bytes: this.totalBytes, files: 1, retries: 0, seconds: 0, unverified: [] };
  }

  verify(): Promise<void> {
    return this.mistrust === undefined ? Promise.resolve() : Promise.reject(new Error(this.mistrust));
  }

  close(): void {
    // Nothing is open.
  }
}
