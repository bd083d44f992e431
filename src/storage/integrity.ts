import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { ServingError } from '../core/errors.ts';
import { showUri } from './failure.ts';

const HASH_CHUNK_BYTES = 1024 * 1024;

/** SHA-256 of a file in lower-case hexadecimal. Reads the next chunk while it hashes this one; two chunks of memory. */
export async function hashFile(path: string, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of readChunks(path, signal)) hash.update(chunk);
  return hash.digest('hex');
}

/** The bytes of a file. A chunk is valid until the next but one is asked for. */
export async function* readChunks(path: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  signal.throwIfAborted();
  const handle = await open(path);
  let spare = Buffer.allocUnsafe(HASH_CHUNK_BYTES);
  let next = handle.read(Buffer.allocUnsafe(HASH_CHUNK_BYTES), 0, HASH_CHUNK_BYTES, null);
  try {
    for (;;) {
      const { buffer, bytesRead } = await next;
      signal.throwIfAborted();
      if (bytesRead === 0) return;
      next = handle.read(spare, 0, HASH_CHUNK_BYTES, null);
      yield buffer.subarray(0, bytesRead);
      spare = buffer;
    }
  } finally {
    // A read may be on its way into a buffer; closing waits for it, and its failure has no one else to go to.
    await next.catch(() => undefined);
    await handle.close();
  }
}

export interface PinnedUri {
  /** Without the pin; every other byte as it was, since signed URLs break otherwise. */
  readonly uri: string;
  /** 64 lower-case hexadecimal digits. */
  readonly sha256?: string;
}

/** Takes `?sha256=…` out of a URI: what its one file must hash to. */
export function parsePin(uri: string): PinnedUri {
  const [, base = uri, query, fragment = ''] = /^([^?#]*)\?([^#]*)(#.*)?$/s.exec(uri) ?? [];
  if (query === undefined) return { uri };
  const params = query.split('&');
  const pins = params.filter((param) => param.startsWith('sha256='));
  const [first] = pins;
  if (first === undefined) return { uri };
  if (new Set(pins.map((pin) => pin.toLowerCase())).size > 1) throw refusePin(uri, 'the URI pins two different digests, keep one');
  const others = params.filter((param) => !param.startsWith('sha256=')).join('&');
  return { uri: `${base}${others === '' ? '' : `?${others}`}${fragment}`, sha256: parseSha256(first.slice('sha256='.length), uri) };
}

/** Checks a digest given by people, from a URI or an option. `subject` is what the message names. */
export function parseSha256(text: string, subject: string): string {
  const digest = text.trim().toLowerCase();
  if (!/^[0-9a-f]{64}$/.test(digest)) {
    throw refusePin(subject, `sha256 must be 64 hexadecimal digits, got ${digest.length} characters; sha256sum prints the digest of a file`);
  }
  return digest;
}

function refusePin(subject: string, problem: string): ServingError {
  return new ServingError('invalid_request', `Cannot check ${showUri(subject)}: ${problem}`);
}
