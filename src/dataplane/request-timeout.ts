import { invalidRequest } from '../core/errors.ts';
import type { Parameters } from '../core/tensor.ts';

/**
 * The request parameter `timeout` (Triton's schedule policy extension: microseconds, 0 for none) in milliseconds, Infinity without one. Throws
 * invalid_request for anything but a non-negative integer.
 */
export function readTimeoutMs(parameters: Parameters | undefined): number {
  const timeout = parameters?.['timeout'];
  if (timeout === undefined) return Infinity;
  const isValid = typeof timeout === 'bigint' ? timeout >= 0n : typeof timeout === 'number' && Number.isInteger(timeout) && timeout >= 0;
  if (!isValid) {
    const got = typeof timeout === 'string' ? JSON.stringify(timeout.slice(0, 64)) : String(timeout);
    throw invalidRequest(`Cannot use request parameter "timeout": expected a non-negative integer of microseconds, got ${got}`);
  }
  const microseconds = Number(timeout);
  return microseconds === 0 ? Infinity : microseconds / 1000;
}
