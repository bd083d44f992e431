import { describe, expect, it } from 'vitest';
import { decodeFlag, decodeIndex, decodeModelMetadata, decodeServerMetadata, encodeFields } from '../../../src/client/grpc-messages.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

describe('small gRPC messages', () => {
  it('encode strings and bools, leaving out defaults', () => {
    expect(
      encodeFields([
        [1, 'ab'],
        [2, ''],
      ]),
    ).toEqual(hex('0a 02 6162'));
    expect(encodeFields([[2, true]])).toEqual(hex('10 01'));
    expect(
      encodeFields([
        [2, false],
        [1, undefined],
      ]),
    ).toHaveLength(0);
    expect(encodeFields([[1, 'x'.repeat(300)]]).subarray(0, 3)).toEqual(hex('0a ac02'));
  });

  it('decode a flag, false when absent', () => {
    expect(decodeFlag(hex('08 01'), 1)).toBe(true);
    expect(decodeFlag(hex(''), 1)).toBe(false);
    expect(decodeFlag(hex('0a 01 6d 10 01'), 2)).toBe(true);
  });

  it('decode server metadata and skip unknown fields of every wire type', () => {
    expect(decodeServerMetadata(hex('0a 01 61 12 01 62 1a 01 63 1a 01 64 f8 01 05 f9 01 0102030405060708 fd 01 01020304'))).toEqual({
      name: 'a',
      version: 'b',
      extensions: ['c', 'd'],
    });
  });

  it('decode model metadata with shapes packed and not packed, -1 included', () => {
    const packed = '0a 01 69 12 04 46503332 1a 0b ffffffffffffffffff01 40';
    const loose = '0a 01 6f 12 05 494e543634 18 ffffffffffffffffff01';
    const message = `0a 01 6d 12 01 31 1a 01 70 22 ${byteLength(packed)} ${packed} 2a ${byteLength(loose)} ${loose} 32 06 0a 01 6b 12 01 76`;
    expect(decodeModelMetadata(hex(message))).toEqual({
      name: 'm',
      versions: ['1'],
      platform: 'p',
      inputs: [{ name: 'i', datatype: 'FP32', shape: [-1, 64] }],
      outputs: [{ name: 'o', datatype: 'INT64', shape: [-1] }],
      properties: { k: 'v' },
    });
  });

  it('decode the repository index', () => {
    const entry = '0a 01 6d 12 01 31 1a 05 5245414459';
    expect(decodeIndex(hex(`0a ${byteLength(entry)} ${entry}`))).toEqual([{ name: 'm', version: '1', state: 'READY', reason: '' }]);
  });

  it.each(['0a', '0a 05 61', '08', '08 ff', `08 ${'ff'.repeat(11)}`, '0b', '09 01'])('refuse %s, which is no message', (bytes) => {
    expect(() => decodeServerMetadata(hex(bytes))).toThrow('Cannot read the response');
  });
});

function byteLength(text: string): string {
  return hex(text).length.toString(16).padStart(2, '0');
}
