import { ServingError, invalidRequest } from '../../core/errors.ts';
import type { HttpCall } from '../../core/http.ts';
import { readMediaType } from '../http/index.ts';

/** Bodies of repository calls hold a flag or two. */
const MAX_CONTROL_BYTES = 64 * 1024;

const UTF8 = new TextDecoder('utf-8', { fatal: true });

/** The JSON object that a repository call carries; empty when it has no body. Throws invalid_request when the body is something else. */
export async function readControlBody(call: HttpCall): Promise<ReadonlyMap<string, unknown>> {
  readMediaType(call.headers['content-type'], ['application/json', 'application/octet-stream'], 'application/json');
  const bytes = await call.readBody();
  if (bytes.byteLength === 0) return new Map();
  if (bytes.byteLength > MAX_CONTROL_BYTES) {
    throw new ServingError(
      'payload_too_large',
      `Cannot read the body: expected at most ${MAX_CONTROL_BYTES} bytes for a repository call, got ${bytes.byteLength}`,
    );
  }
  return objectEntries(parse(bytes), 'the body');
}

/** A JSON object's own members, `__proto__` among them. Throws invalid_request when `value` is no object. */
export function objectEntries(value: unknown, what: string): ReadonlyMap<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalidRequest(`Cannot read ${what}: expected a JSON object, got ${typeName(value)}`);
  }
  return new Map(Object.entries(value));
}

/** What JSON calls a value's type. */
export function typeName(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(UTF8.decode(bytes));
  } catch (error) {
    throw invalidRequest(`Cannot read the body: expected JSON, got an error: ${error instanceof Error ? error.message : 'unknown'}`);
  }
}
