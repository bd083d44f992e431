import { expect, test } from 'vitest';
import { addressOf, copyFromNative, copyToNative, NativeStrings, NativeWords, readCString } from '../../../../src/engine/native/index.ts';

test('bytes copied out to an address and back are the same', () => {
  const native = new Uint8Array(new ArrayBuffer(1000));
  const source = Float64Array.from({ length: 100 }, (_, i) => i / 7);
  copyToNative(addressOf(native), source);
  const back = new Float64Array(100);
  copyFromNative(back, addressOf(native));
  expect(back).toEqual(source);
  expect(new Float64Array(native.buffer, 0, 100)).toEqual(source);
});

test('copies of no bytes touch nothing', () => {
  copyFromNative(new Float32Array(0), 1n);
  copyToNative(1n, new Uint8Array(0));
});

test('words read as pointer, number and C int', () => {
  const words = new NativeWords(4);
  words.signed[1] = -5n;
  words.unsigned[2] = 0xffff_ffff_0000_0003n;
  expect(words.length).toBe(4);
  expect(words.numberAt(1)).toBe(-5);
  expect(words.int32At(2)).toBe(3);
  expect(words.pointerAt(2)).toBe(0xffff_ffff_0000_0003n);
  expect(words.addressAt(3) - words.addressAt(0)).toBe(24n);
  const seen = new BigInt64Array(new ArrayBuffer(8));
  copyFromNative(seen, words.addressAt(1));
  expect(seen[0]).toBe(-5n);
});

test('no words at all still have an address', () => {
  expect(new NativeWords(0).addressAt(0)).toBeTypeOf('bigint');
});

test('strings, each at an address of its own, end with a NUL and are UTF-8', () => {
  const texts = ['input_ids', '', 'häßlich', '🙂'];
  const strings = new NativeStrings(texts);
  for (const text of texts) expect(readCString(strings.addressOf(text)!)).toBe(text);
  expect(new Set(texts.map((text) => strings.addressOf(text))).size).toBe(4);
  expect(strings.addressOf('absent')).toBeUndefined();
});
