import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DATATYPES, elementBytes } from '../../../src/core/datatype.ts';
import { isServingError } from '../../../src/core/errors.ts';
import {
  bytesElement,
  bytesFromElements,
  bytesFromStrings,
  stringsFromBytes,
  tensorFromBytes,
  tensorFromBytesSteps,
  tensorToBytes,
} from '../../../src/core/tensor-bytes.ts';
import { isBytesData, type BytesData } from '../../../src/core/tensor.ts';

const what = 'input "x"';
const hex = (text: string): Uint8Array => Buffer.from(text, 'hex');

describe('tensorFromBytes', () => {
  it.each([
    ['a length that does not fit', 'FP32', [3], '0000000000000000', 'Cannot decode input "x": expected 12 bytes for FP32 [3], got 8'],
    ['no bytes for a scalar', 'INT64', [], '', 'Cannot decode input "x": expected 8 bytes for INT64 [], got 0'],
    ['bytes for an empty tensor', 'UINT8', [0, 4], '00', 'Cannot decode input "x": expected 0 bytes for UINT8 [0,4], got 1'],
    ['a BOOL of 2', 'BOOL', [3], '010002', 'Cannot decode input "x": expected 0 or 1 for BOOL element 2, got byte 2'],
    ['a BYTES length that leads outside', 'BYTES', [1], '0500000061626364', 'Cannot decode input "x": element 0 announces 5 bytes, 4 are left'],
    ['a BYTES length of 4 GiB', 'BYTES', [1], 'ffffffff', 'Cannot decode input "x": element 0 announces 4294967295 bytes, 0 are left'],
    [
      'half a BYTES length',
      'BYTES',
      [2],
      '010000006100000000'.slice(0, 16),
      'Cannot decode input "x": expected 2 elements for BYTES [2], got 1 and 3 bytes of a length',
    ],
    ['bytes behind the last BYTES element', 'BYTES', [1], '000000000000', 'Cannot decode input "x": 1 elements for BYTES [1] end after 4 of 6 bytes'],
    [
      'a huge BYTES shape over few bytes',
      'BYTES',
      [4000000000],
      '00000000',
      'Cannot decode input "x": expected 4000000000 elements for BYTES [4000000000], which take at least 16000000000 bytes, got 4',
    ],
  ] as const)('%s is refused', (_name, datatype, shape, bytes, message) => {
    expect(() => tensorFromBytes(datatype, shape, hex(bytes), what)).toThrow(message);
  });

  it('each datatype at every alignment of the source: the same bytes, in an aligned buffer of their own', () => {
    for (const datatype of DATATYPES) {
      if (datatype === 'BYTES') continue;
      const size = elementBytes(datatype) * 3;
      for (let offset = 0; offset < 8; offset++) {
        const source = new Uint8Array(size + 8).map((_, index) => (datatype === 'BOOL' ? index % 2 : index * 37));
        const bytes = source.subarray(offset, offset + size);
        const expected = Buffer.from(bytes);
        const data = tensorFromBytes(datatype, [3], bytes, what);
        bytes.fill(0xff);
        expect(Buffer.from(tensorToBytes(data))).toEqual(expected);
        if (!isBytesData(data))
          expect({ length: data.length, offset: data.byteOffset, owned: data.buffer.byteLength }).toEqual({ length: 3, offset: 0, owned: size });
      }
    }
  });

  it('FP32 and INT32 golden bytes have their values', () => {
    expect(Array.from(tensorFromBytes('INT32', [3], hex('010000000200000003000000'), what) as Int32Array)).toEqual([1, 2, 3]);
    const floats = tensorFromBytes('FP32', [8], hex('9a99d940333333409a9999403333b33f0000c0409a99594000009040cdcccc3f'), what);
    expect(Array.from(floats as Float32Array)).toEqual([6.8, 2.8, 4.8, 1.4, 6, 3.4, 4.5, 1.6].map(Math.fround));
  });

  it('many megabytes pause between slices', () => {
    let pauses = 0;
    const steps = tensorFromBytesSteps('BOOL', [8 << 20], new Uint8Array(8 << 20), what);
    while (steps.next().done !== true) pauses++;
    expect(pauses).toBeGreaterThan(30);
  });
});

describe('BYTES', () => {
  it('any elements survive the way to bytes and back, and the bytes are a view', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 20 })), (elements) => {
        const made = bytesFromElements(elements);
        const read = tensorFromBytes('BYTES', [elements.length], tensorToBytes(made), what) as BytesData;
        expect(elements.map((_, index) => Buffer.from(bytesElement(read, index)))).toEqual(elements.map((element) => Buffer.from(element)));
        expect(tensorToBytes(read).buffer).toBe(read.bytes.buffer);
      }),
    );
  });

  it('"test" has the golden bytes, strings with NUL and emoji come back', () => {
    expect(Buffer.from(tensorToBytes(bytesFromStrings(['test']))).toString('hex')).toBe('0400000074657374');
    const strings = ['', 'a\0b', 'häßlich', '🙂', '\ufeffbom'];
    expect(stringsFromBytes(bytesFromStrings(strings))).toEqual(strings);
  });

  it('a lone surrogate becomes U+FFFD', () => {
    expect(stringsFromBytes(bytesFromStrings(['\ud800']))).toEqual(['\ufffd']);
  });

  it('elements of a view that starts behind others are found, and only its bytes are given', () => {
    const whole = bytesFromStrings(['one', 'two', 'three']);
    const part = { bytes: whole.bytes, offsets: whole.offsets.subarray(1) };
    expect(stringsFromBytes(part)).toEqual(['two', 'three']);
    expect(tensorToBytes(part).length).toBe(4 + 3 + 4 + 5);
  });

  it('bytes that are not UTF-8 are refused as text, naming the element', () => {
    const data = bytesFromElements([new Uint8Array([0x61]), new Uint8Array([0xff])]);
    expect(() => stringsFromBytes(data)).toThrow('Cannot read BYTES element 1 as text: expected UTF-8, got other bytes');
    expect(() => bytesElement(data, 2)).toThrow(RangeError);
  });

  it('random bytes either decode exactly or are refused as invalid_request', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat(5), (bytes, count) => {
        try {
          expect(Buffer.from(tensorToBytes(tensorFromBytes('BYTES', [count], bytes, what)))).toEqual(Buffer.from(bytes));
        } catch (error) {
          expect(isServingError(error) && error.reason).toBe('invalid_request');
        }
      }),
    );
  });
});
