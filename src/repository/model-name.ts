import { invalidRequest } from '../core/errors.ts';

const MAX_NAME_LENGTH = 255;

/** Control, format and private characters, line breaks, and what separates paths. */
const FORBIDDEN = /[\p{C}\p{Zl}\p{Zp}/\\]/u;

/** True for a name that is one visible path segment: printable, at most 255 characters, not hidden, neither `.` nor `..`. */
export function isModelName(name: string): boolean {
  return name.length > 0 && name.length <= MAX_NAME_LENGTH && !name.startsWith('.') && !FORBIDDEN.test(name);
}

/** Throws invalid_request that names the option. */
export function checkModelName(name: string): void {
  if (isModelName(name)) return;
  throw invalidRequest(
    `Cannot name a model ${JSON.stringify(name.slice(0, MAX_NAME_LENGTH))} (--model_name): ` +
      `expected 1 to ${MAX_NAME_LENGTH} printable characters without "/" and "\\", not starting with "."`,
  );
}
