import { createGunzip, createInflate, createInflateRaw, type Gunzip, type Inflate, type InflateRaw } from 'node:zlib';
import { ServingError } from '../../core/errors.ts';

export type ContentCoding = 'identity' | 'gzip' | 'deflate';
export type Inflater = Gunzip | Inflate | InflateRaw;

/** One coding per body, as every client of the field sends it. Throws unsupported_media_type for anything else. */
export function parseContentCoding(header: string | undefined): ContentCoding {
  if (header === undefined) return 'identity';
  switch (header.trim().toLowerCase()) {
    case '':
    case 'identity':
      return 'identity';
    case 'gzip':
    case 'x-gzip':
      return 'gzip';
    case 'deflate':
      return 'deflate';
    default:
      throw new ServingError(
        'unsupported_media_type',
        `Cannot read the body: expected Content-Encoding gzip or deflate, got "${header.slice(0, 64)}"`,
      );
  }
}

const OUTPUT_CHUNK_BYTES = 64 * 1024;

/**
 * "deflate" is the zlib format (RFC 9110 section 8.4.1.2), but some clients send bare deflate data. The first byte tells: zlib's has 8 in its low half,
 * which in bare data would be a stored block with padding bits that no compressor sets.
 */
export function createInflater(coding: Exclude<ContentCoding, 'identity'>, firstByte: number): Inflater {
  const options = { chunkSize: OUTPUT_CHUNK_BYTES };
  if (coding === 'gzip') return createGunzip(options);
  return (firstByte & 0x0f) === 8 ? createInflate(options) : createInflateRaw(options);
}
