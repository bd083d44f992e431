import { expect } from 'vitest';
import { isServingError, type ErrorReason, type ServingError } from '../../src/core/errors.ts';

/** Rejects with a ServingError of that reason and a message of one line without native addresses. */
export async function expectRefusal(promise: Promise<unknown>, reason: ErrorReason, pattern: RegExp): Promise<ServingError> {
  const thrown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!isServingError(thrown)) throw new Error(`expected a ServingError, got ${String(thrown)}`, { cause: thrown });
  expect(thrown.reason, thrown.message).toBe(reason);
  expect(thrown.message).toMatch(pattern);
  expect(thrown.message).not.toMatch(/\n|0x[0-9a-f]{6}|onnxruntime_src/);
  expect(thrown.message.length).toBeLessThan(600);
  return thrown;
}
