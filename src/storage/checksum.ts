import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { combineCrc, Crc32c, Crc64Nvme, type CrcAlgorithm } from './crc.ts';
import { readChunks } from './integrity.ts';
import type { Checksum, ChecksumAlgorithm } from './storage.ts';

/** One pass over bytes in order. */
export interface Hasher {
  update(bytes: Uint8Array): void;
  /** The hash so far in hex; ends a hash that is no CRC. */
  digest(): string;
}

export function createHasher(algorithm: ChecksumAlgorithm): Hasher {
  if (algorithm === 'crc32') return new Crc32();
  if (algorithm === 'crc32c') return new Crc32c();
  if (algorithm === 'crc64nvme') return new Crc64Nvme();
  const hash = createHash(algorithm);
  return {
    update: (bytes) => {
      hash.update(bytes);
    },
    digest: () => hash.digest('hex'),
  };
}

class Crc32 implements Hasher {
  #value = 0;

  update(bytes: Uint8Array): void {
    this.#value = crc32(bytes, this.#value);
  }

  digest(): string {
    return this.#value.toString(16).padStart(8, '0');
  }
}

/** CRCs of neighbouring parts make that of the whole; other hashes need the bytes in order. */
export function isCombinable(algorithm: ChecksumAlgorithm): algorithm is CrcAlgorithm {
  return algorithm === 'crc32' || algorithm === 'crc32c' || algorithm === 'crc64nvme';
}

export interface HashedPart {
  readonly hex: string;
  readonly bytes: number;
}

export function combineParts(algorithm: CrcAlgorithm, parts: readonly HashedPart[]): string {
  let whole = parts[0]?.hex ?? createHasher(algorithm).digest();
  for (const { hex, bytes } of parts.slice(1)) whole = combineCrc(algorithm, whole, hex, bytes);
  return whole;
}

export async function digestFile(path: string, algorithm: ChecksumAlgorithm, signal: AbortSignal): Promise<string> {
  const hasher = createHasher(algorithm);
  for await (const chunk of readChunks(path, signal)) hasher.update(chunk);
  return hasher.digest();
}

const DIGEST_BYTES: Readonly<Record<ChecksumAlgorithm, number>> = { crc32: 4, crc32c: 4, crc64nvme: 8, md5: 16, sha1: 20, sha256: 32 };

/** As headers give it; undefined without one, and for a checksum of parts, which ends in `-N`. */
export function checksumFromBase64(algorithm: ChecksumAlgorithm, written: string | undefined): Checksum | undefined {
  if (written === undefined || !/^[A-Za-z0-9+/]+=*$/.test(written)) return undefined;
  const bytes = Buffer.from(written, 'base64');
  return bytes.length === DIGEST_BYTES[algorithm] ? { algorithm, hex: bytes.toString('hex') } : undefined;
}

/** S3's ETag of an object put in one piece is its MD5; that of parts has `-N` at its end. */
export function md5OfEtag(etag: string | undefined): Checksum | undefined {
  const hex = /^"?([0-9a-f]{32})"?$/i.exec(etag ?? '')?.[1];
  return hex === undefined ? undefined : { algorithm: 'md5', hex: hex.toLowerCase() };
}
