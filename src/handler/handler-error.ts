import { ServingError } from '../core/errors.ts';

/** User code did what it must not; the message says what and how to put it right. */
export function handlerFailed(message: string, cause?: unknown): ServingError {
  return new ServingError('handler_failed', message, cause === undefined ? {} : { cause });
}

/** What was thrown, in one line for people. */
export function describeThrown(thrown: unknown): string {
  if (!(thrown instanceof Error)) return `it threw ${describeValue(thrown)}`;
  const [line = ''] = thrown.message.split('\n', 1);
  const text = line.length > MAX_MESSAGE_CHARS ? `${line.slice(0, MAX_MESSAGE_CHARS)}…` : line;
  return text === '' ? thrown.name : `${thrown.name}: ${text}`;
}

const MAX_MESSAGE_CHARS = 500;

/** A value in a message: what kind of thing it is, never all that is in it. */
export function describeValue(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === 'string') return `text ${JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value)}`;
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint') return String(value);
  if (typeof value === 'function' || typeof value === 'symbol') return `a ${typeof value}`;
  if (Array.isArray(value)) return value.length === 0 ? 'an empty array' : `an array of ${describeValue(value[0])}`;
  const name = (Object.getPrototypeOf(value) as { readonly constructor?: { readonly name?: string } } | null)?.constructor?.name ?? 'Object';
  if (name !== 'Object') return `a ${name}`;
  const keys = Object.keys(value).slice(0, 8);
  return keys.length === 0 ? 'an empty object' : `an object with ${keys.map((key) => JSON.stringify(key)).join(', ')}`;
}
