import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checksumFromBase64, combineParts, createHasher, md5OfEtag } from '../../../src/storage/checksum.ts';

function hash(algorithm: Parameters<typeof createHasher>[0], ...chunks: readonly Uint8Array[]): string {
  const hasher = createHasher(algorithm);
  for (const chunk of chunks) hasher.update(chunk);
  return hasher.digest();
}

describe('createHasher', () => {
  it.each([
    ['crc32', 'cbf43926'],
    ['crc32c', 'e3069283'],
    ['crc64nvme', 'ae8b14860a799888'],
    ['md5', '25f9e794323b453885f5181f1b624d0b'],
    ['sha1', 'f7c3bc1d808e04732adf679965ccc34ca7ae3441'],
    ['sha256', '15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225'],
  ] as const)('gives the published check value of %s', (algorithm, expected) => {
    expect(hash(algorithm, Buffer.from('123456789'))).toBe(expected);
  });

  it.each(['crc32', 'crc32c', 'crc64nvme'] as const)('%s of parts, combined, is that of the whole', (algorithm) => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 70 }), { minLength: 1, maxLength: 5 }), (parts) => {
        const whole = hash(algorithm, ...parts);
        expect(hash(algorithm, Buffer.concat(parts))).toBe(whole);
        expect(
          combineParts(
            algorithm,
            parts.map((part) => ({ hex: hash(algorithm, part), bytes: part.length })),
          ),
        ).toBe(whole);
      }),
    );
  });
});

describe('checksums as stores write them', () => {
  it('takes what has the length of the hash, and nothing of parts', () => {
    expect(checksumFromBase64('crc32', 'K7lFCw==')).toEqual({ algorithm: 'crc32', hex: '2bb9450b' });
    expect(checksumFromBase64('crc32', 'KE/P2w==-8')).toBeUndefined();
    expect(checksumFromBase64('crc64nvme', 'K7lFCw==')).toBeUndefined();
    expect(checksumFromBase64('md5', undefined)).toBeUndefined();
  });

  it('takes an ETag for an MD5 unless it is one of parts', () => {
    expect(md5OfEtag('"8f33d0ecfe648a745b169baf8a77658b"')).toEqual({ algorithm: 'md5', hex: '8f33d0ecfe648a745b169baf8a77658b' });
    expect(md5OfEtag('"bc8664b98d361bceef1f638d8a57b1f1-8"')).toBeUndefined();
    expect(md5OfEtag('W/"8f33d0ecfe648a745b169baf8a77658b"')).toBeUndefined();
  });
});
