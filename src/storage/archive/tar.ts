import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { extract as createExtract } from 'tar-stream';
import { isServingError } from '../../core/errors.ts';
import { type ArchiveEntry, type EntryKind } from './entry.ts';
import type { Meter } from './limits.ts';
import type { Refuse } from './refusal.ts';

const BLOCK_BYTES = 512;
const READ_BYTES = 256 * 1024;

const KINDS: Readonly<Record<string, EntryKind>> = {
  file: 'file',
  'contiguous-file': 'file',
  directory: 'directory',
  symlink: 'symlink',
  link: 'hardlink',
};

/**
 * The entries of a tar in their order. Ends with an error unless the archive is whole: each file's bytes, the gzip checksum and the zeros
 * that end a tar, without which a file cut between two entries would look complete.
 */
export async function* readTar(file: string, isGzip: boolean, meter: Meter, refuse: Refuse, signal: AbortSignal): AsyncGenerator<ArchiveEntry> {
  const stop = new AbortController();
  const extract = createExtract();
  const tail = new StreamTail(meter);
  const source = createReadStream(file, { highWaterMark: READ_BYTES });
  const stages = { signal: AbortSignal.any([signal, stop.signal]) };
  const fed = isGzip
    ? pipeline(source, createGunzip({ chunkSize: READ_BYTES }), (chunks) => tail.pass(chunks), extract, stages)
    : pipeline(source, (chunks) => tail.pass(chunks), extract, stages);
  // Awaited below; until then a failure must not count as unhandled.
  fed.catch(() => undefined);
  let parserFailure: Error | undefined;
  extract.once('error', (error: Error) => (parserFailure = error));
  // The feeding side and the parser know why; who reads an entry often sees no more than a closed stream.
  const explain = (thrown: unknown): unknown => tail.failure ?? (isServingError(thrown) ? thrown : (parserFailure ?? thrown));
  try {
    let end = 0;
    for await (const entry of extract) {
      yield toEntry(entry.header, () => readContent(entry as AsyncIterable<Uint8Array>, explain), refuse);
      // Skips what was not read; the parser goes on only when an entry is used up.
      entry.resume();
      end = endOf(entry.header);
    }
    await fed;
    tail.requireEnd(end, refuse);
  } catch (thrown) {
    throw explain(thrown);
  } finally {
    stop.abort();
    await fed.catch(() => undefined);
  }
}

/** What the parser really gives: more kinds than its types say, and none for letters that it does not know. */
interface ParsedHeader {
  readonly name: string;
  readonly type: string | null;
  readonly size: number;
  readonly mode: number;
  readonly linkname: string | null;
  /** Where the content begins in the unpacked stream. */
  readonly byteOffset?: number;
  readonly pax?: unknown;
}

async function* readContent(entry: AsyncIterable<Uint8Array>, explain: (thrown: unknown) => unknown): AsyncGenerator<Uint8Array> {
  try {
    yield* entry;
  } catch (thrown) {
    throw explain(thrown);
  }
}

function toEntry(header: ParsedHeader, content: ArchiveEntry['content'], refuse: Refuse): ArchiveEntry {
  const { name, type, size, mode, linkname } = header;
  const kind = KINDS[type ?? ''];
  if (kind === undefined) {
    throw refuse(name, `is ${type === null ? 'of an unknown kind' : `a ${type}`}`, 'pack only files, directories and links, without --sparse');
  }
  if (isSparse(header)) throw refuse(name, 'is a sparse file', 'pack without --sparse');
  if (kind !== 'file' && size > 0) throw refuse(name, `is a ${kind} with ${size} bytes of content`, 'pack the file itself');
  const executable = (mode & 0o100) !== 0;
  return { name, kind, executable, target: linkname ?? '', size, content };
}

/** GNU tar stores holes of files as entries of a plain kind plus these attributes; the bytes alone would be wrong. */
function isSparse({ pax }: ParsedHeader): boolean {
  return typeof pax === 'object' && pax !== null && Object.keys(pax).some((key) => key.startsWith('GNU.sparse'));
}

function endOf({ byteOffset = 0, size }: ParsedHeader): number {
  return byteOffset + Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES;
}

/** Passes the unpacked stream on, counting it and remembering how it ended. */
class StreamTail {
  readonly #meter: Meter;
  #bytes = 0;
  #zeros = 0;
  failure: Error | undefined;

  constructor(meter: Meter) {
    this.#meter = meter;
  }

  async *pass(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of chunks) {
        this.#meter.addStream(chunk.byteLength);
        this.#bytes += chunk.byteLength;
        this.#countZeros(chunk);
        yield chunk;
      }
    } catch (thrown) {
      this.failure = thrown instanceof Error ? thrown : new Error(String(thrown));
      throw thrown;
    }
  }

  requireEnd(entriesEnd: number, refuse: Refuse): void {
    if (this.#bytes - entriesEnd >= BLOCK_BYTES && this.#zeros >= BLOCK_BYTES) return;
    throw refuse(undefined, `is cut short: the zeros that end a tar are missing after ${this.#bytes} bytes`, 'pack and upload it again');
  }

  /** Zeros at the stream's end so far; no more than a block of them matters. */
  #countZeros(chunk: Uint8Array): void {
    let zeros = 0;
    for (let i = chunk.byteLength - 1; i >= 0 && zeros < BLOCK_BYTES && chunk[i] === 0; i--) zeros += 1;
    this.#zeros = zeros === chunk.byteLength ? this.#zeros + zeros : zeros;
  }
}
