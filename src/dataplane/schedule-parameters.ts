import { invalidRequest } from '../core/errors.ts';
import type { Parameters, ParameterValue } from '../core/tensor.ts';

/**
 * The request parameter `timeout` (Triton's schedule policy extension: microseconds, 0 for none) in milliseconds, Infinity without one. Throws
 * invalid_request for anything but a non-negative integer.
 */
export function readTimeoutMs(parameters: Parameters | undefined): number {
  const timeout = parameters?.['timeout'];
  if (timeout === undefined) return Infinity;
  const microseconds = Number(readUnsigned('timeout', timeout, 'integer of microseconds'));
  return microseconds === 0 ? Infinity : microseconds / 1000;
}

/**
 * The request parameter `priority` (Triton's schedule policy extension): a level, 1 the highest, 0 for the model's default. Throws invalid_request for anything but
 * a non-negative integer; levels that a model does not have are its default.
 */
export function readPriority(parameters: Parameters | undefined): number {
  const priority = parameters?.['priority'];
  return priority === undefined ? 0 : Number(readUnsigned('priority', priority, 'integer'));
}

/** The value when it is a non-negative integer. */
function readUnsigned(name: string, value: ParameterValue, expected: string): number | bigint {
  if (typeof value === 'bigint' ? value >= 0n : typeof value === 'number' && Number.isInteger(value) && value >= 0) return value as number | bigint;
  const got = typeof value === 'string' ? JSON.stringify(value.slice(0, 64)) : String(value);
  throw invalidRequest(`Cannot use request parameter "${name}": expected a non-negative ${expected}, got ${got}`);
}
