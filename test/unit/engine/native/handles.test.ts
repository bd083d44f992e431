import { expect, test } from 'vitest';
import { handleCounts, Handles, liveHandles, withHandles } from '../../../../src/engine/native/index.ts';

test('releaseAll, called twice, releases what is owned once, the youngest first', () => {
  const released: bigint[] = [];
  const release = (pointer: bigint): number => released.push(pointer);
  const before = handleCounts();
  const handles = new Handles();
  expect(handles.own(1n, release)).toBe(1n);
  handles.own(2n, release);
  expect(liveHandles()).toBe(before.created - before.released + 2);
  handles.releaseAll();
  handles.releaseAll();
  expect(released).toEqual([2n, 1n]);
  expect(handleCounts()).toEqual({ created: before.created + 2, released: before.released + 2 });
});

test('an owner is usable again after releaseAll', () => {
  const released: bigint[] = [];
  const handles = new Handles();
  handles.own(1n, (pointer) => released.push(pointer));
  handles.releaseAll();
  handles.own(2n, (pointer) => released.push(pointer));
  handles.releaseAll();
  expect(released).toEqual([1n, 2n]);
});

test('withHandles releases when its work throws', () => {
  const released: bigint[] = [];
  const before = liveHandles();
  expect(() =>
    withHandles((handles) => {
      handles.own(5n, (pointer) => released.push(pointer));
      throw new Error('broken');
    }),
  ).toThrow('broken');
  expect(released).toEqual([5n]);
  expect(liveHandles()).toBe(before);
});
