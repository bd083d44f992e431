import { invalidRequest } from '../core/errors.ts';
import type { Parameters, ParameterValue } from '../core/tensor.ts';

/** A whole number among the request's parameters, both limits included. Throws invalid_request. */
export function readInteger(parameters: Parameters | undefined, name: string, min: number, max: number): number | undefined {
  const value = parameters?.[name];
  if (value === undefined) return undefined;
  const number = typeof value === 'bigint' ? Number(value) : value;
  if (typeof number === 'number' && Number.isInteger(number) && number >= min && number <= max) return number;
  throw refuse(name, `a whole number from ${min} to ${max}`, value);
}

export function readNumber(parameters: Parameters | undefined, name: string): number | undefined {
  const value = parameters?.[name];
  if (value === undefined) return undefined;
  const number = typeof value === 'bigint' ? Number(value) : value;
  if (typeof number === 'number' && Number.isFinite(number)) return number;
  throw refuse(name, 'a number', value);
}

export function readText(parameters: Parameters | undefined, name: string): string | undefined {
  const value = parameters?.[name];
  if (value === undefined) return undefined;
  if (typeof value === 'string' && value !== '') return value;
  throw refuse(name, 'a name', value);
}

function refuse(name: string, expected: string, value: ParameterValue): Error {
  const got = typeof value === 'string' ? JSON.stringify(value.slice(0, 64)) : String(value);
  return invalidRequest(`Cannot use request parameter "${name}": expected ${expected}, got ${got}`);
}
