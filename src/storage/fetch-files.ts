import { setMaxListeners } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { combineParts, digestFile, isCombinable } from './checksum.ts';
import { cannotDownload, TransientFailure } from './failure.ts';
import { FetchedFile, type Piece } from './fetched-file.ts';
import { fetchPiece, type FetchDeps } from './fetch-piece.ts';
import { retrying, type RetryContext } from './retry.ts';
import type { RemoteFile } from './storage.ts';

/** What one read asks for, at least: more than that a request must bring to cost nothing. */
const MIN_RANGE_BYTES = 8 * 1024 * 1024;
/** At most, for large files: stores spend less on few ranges, and one that breaks off is continued where it did. */
const MAX_RANGE_BYTES = 64 * 1024 * 1024;
/** So many for each of those who read: whoever is slow at the end keeps the others waiting for one range. */
const RANGES_PER_READER = 2;
/** Wrong bytes of a file are fetched again this often. */
const MAX_WRONG_CONTENTS = 3;

/** Brings files to disk, `parallel` pieces at a time, verified as far as the store lets us. Returns the paths that nothing vouches for. */
export async function fetchFiles(files: readonly RemoteFile[], deps: FetchDeps): Promise<readonly string[]> {
  // The first failure ends the others.
  const stop = new AbortController();
  // Every read listens.
  setMaxListeners(0, stop.signal);
  const onAbort = (): void => {
    stop.abort(deps.signal.reason);
  };
  deps.signal.addEventListener('abort', onAbort, { once: true });
  if (deps.signal.aborted) onAbort();
  const run = new FetchRun({ ...deps, signal: stop.signal });
  try {
    await makeFolders(files, deps.dir);
    return await run.fetchAll(files, (error) => {
      stop.abort(error);
    });
  } finally {
    deps.signal.removeEventListener('abort', onAbort);
  }
}

async function makeFolders(files: readonly RemoteFile[], dir: string): Promise<void> {
  const folders = new Set(files.map(({ path }) => dirname(path)));
  for (const folder of folders) await mkdir(join(dir, folder), { recursive: true });
}

class FetchRun {
  readonly #deps: FetchDeps;
  readonly #retry: RetryContext;
  readonly #unverified: string[] = [];
  readonly #open = new Set<FetchedFile>();

  constructor(deps: FetchDeps) {
    this.#deps = deps;
    const { uri, policy, signal, progress } = deps;
    this.#retry = {
      uri,
      policy,
      signal,
      onRetry: () => {
        progress.retries++;
      },
    };
  }

  async fetchAll(files: readonly RemoteFile[], fail: (error: unknown) => void): Promise<readonly string[]> {
    const pieces = this.#pieces(files);
    // Workers take pieces from one queue, so the pieces of a file are read side by side and few files are open at once.
    const work = async (): Promise<void> => {
      try {
        for (let next = pieces.next(); next.done !== true; next = pieces.next()) await this.#fetch(await next.value);
      } catch (error) {
        fail(error);
        throw error;
      }
    };
    const settled = await Promise.allSettled(Array.from({ length: this.#deps.parallel }, work));
    for (const file of this.#open) await file.close(false);
    // The first to fail told the others to stop; its reason is the signal's.
    if (settled.some(({ status }) => status === 'rejected')) throw this.#deps.signal.reason;
    return this.#unverified.sort();
  }

  /** In the order of the listing. The first piece of a file in ranges waits for what the listing did not say. */
  *#pieces(files: readonly RemoteFile[]): Generator<Promise<Piece> | Piece, void, undefined> {
    for (const file of files) {
      const { size } = file;
      const path = join(this.#deps.dir, file.path);
      if (size === undefined || size <= MIN_RANGE_BYTES || file.isWholeOnly === true) {
        yield { file: new FetchedFile(file, path, 1), range: undefined, index: 0 };
        continue;
      }
      const share = Math.ceil(size / this.#deps.parallel / RANGES_PER_READER);
      const rangeBytes = Math.min(MAX_RANGE_BYTES, Math.max(MIN_RANGE_BYTES, share));
      const count = Math.ceil(size / rangeBytes);
      const fetched = new FetchedFile(file, path, count);
      const described = this.#describe(fetched);
      // Whoever takes a piece waits for it; a failure is never without an owner.
      described.catch(() => undefined);
      for (let index = 0; index < count; index++) {
        const range = { start: index * rangeBytes, end: Math.min(size, (index + 1) * rangeBytes) };
        yield described.then(() => ({ file: fetched, range, index }));
      }
    }
  }

  async #describe(fetched: FetchedFile): Promise<void> {
    const { source } = this.#deps;
    if (source.describe === undefined) return;
    fetched.remote = await retrying(this.#retry, (watch) => source.describe?.(fetched.remote, watch) ?? Promise.resolve(fetched.remote));
  }

  async #fetch(piece: Piece): Promise<void> {
    const { file } = piece;
    this.#open.add(file);
    await fetchPiece(piece, this.#deps, this.#retry);
    if (!file.isComplete()) return;
    await file.close(this.#deps.isDurable);
    this.#open.delete(file);
    const isRight = await this.#verify(file);
    if (isRight) {
      this.#deps.progress.files++;
      return;
    }
    file.wrongContents++;
    this.#deps.progress.bytes -= file.bytes;
    if (file.wrongContents >= MAX_WRONG_CONTENTS) {
      throw cannotDownload(
        'upstream_failed',
        this.#deps.uri,
        `${JSON.stringify(file.remote.path)} does not have the ${file.checksum?.algorithm ?? ''} checksum of the store, ${MAX_WRONG_CONTENTS} attempts failed, upload it again`,
      );
    }
    this.#retry.onRetry(new TransientFailure('wrong checksum'), file.wrongContents);
    for (const again of file.restart()) await this.#fetch(again);
  }

  async #verify(file: FetchedFile): Promise<boolean> {
    const { checksum } = file;
    if (checksum === undefined) {
      this.#unverified.push(file.remote.path);
      return true;
    }
    const { algorithm, hex } = checksum;
    const streamed = file.streamedDigest(algorithm);
    if (streamed !== undefined) return streamed === hex;
    if (isCombinable(algorithm)) return combineParts(algorithm, file.parts) === hex;
    return (await digestFile(file.path, algorithm, this.#deps.signal)) === hex;
  }
}
