import { expect, test } from 'vitest';
import { RunPlace } from '../../../../src/engine/onnx/run-place.ts';

function took(place: RunPlace, ms: number, times: number): void {
  for (let i = 0; i < times; i++) place.took(ms);
}

test('runs move to the event loop when several were quick on the pool', () => {
  const place = new RunPlace();
  took(place, 5, 10);
  took(place, 0.2, 2);
  expect(place.isOnLoop).toBe(false);
  place.took(0.2);
  expect(place.isOnLoop).toBe(true);
});

test('a long run now and then keeps them there, several in a row send them back to the pool', () => {
  const place = new RunPlace();
  took(place, 0.2, 3);
  for (let i = 0; i < 10; i++) {
    took(place, 2, 3);
    place.took(0.01);
  }
  expect(place.isOnLoop).toBe(true);
  took(place, 0.2, 4);
  expect(place.isOnLoop).toBe(false);
  took(place, 0.2, 999);
  expect(place.isOnLoop).toBe(false);
  place.took(0.2);
  expect(place.isOnLoop).toBe(true);
});
