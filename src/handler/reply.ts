import type { Body } from '../core/infer.ts';
import { describeValue, handlerFailed } from './handler-error.ts';

/** A whole answer that is not tensors, made with `reply`. Only HTTP can carry it. */
export interface ReplyInit {
  readonly body: Body;
}

/**
 * An answer that is not tensors: text, bytes, or any other value as JSON (typed arrays become arrays).
 *
 *     return reply({ label: 'seven', score: 0.98 })
 *     return reply(png, 'image/png')
 *
 * Without `contentType`: `text/plain; charset=utf-8`, `application/octet-stream`, `application/json`. Throws ServingError handler_failed for what JSON cannot hold.
 */
export function reply(value: unknown, contentType?: string): ReplyInit {
  if (contentType !== undefined && !MEDIA_TYPE.test(contentType)) {
    throw handlerFailed(`Cannot reply with content type ${describeValue(contentType)}: expected a media type such as image/png`);
  }
  if (typeof value === 'string') return { body: { contentType: contentType ?? 'text/plain; charset=utf-8', bytes: ENCODER.encode(value) } };
  if (value instanceof Uint8Array) return { body: { contentType: contentType ?? 'application/octet-stream', bytes: value } };
  return { body: { contentType: contentType ?? 'application/json', bytes: ENCODER.encode(jsonText(value)) } };
}

const ENCODER = new TextEncoder();
/** RFC 9110 section 8.3.1: type, subtype, parameters; nothing that could end a header line. */
const MEDIA_TYPE = /^[\w!#$%&'*+.^`|~-]+\/[\w!#$%&'*+.^`|~-]+(\s*;[\t\x20-\x7e]*)?$/;

/** `JSON.stringify` gives undefined for what is no JSON at all, whatever its type says. */
const stringify: (value: unknown, replacer: (key: string, member: unknown) => unknown) => string | undefined = JSON.stringify;

function jsonText(value: unknown): string {
  let text: string | undefined;
  try {
    text = stringify(value, (_key, member: unknown) => jsonValue(member));
  } catch (thrown) {
    throw handlerFailed(
      `Cannot reply with ${describeValue(value)} as JSON: ${thrown instanceof Error ? thrown.message.split('\n', 1)[0] : ''}`,
      thrown,
    );
  }
  if (text === undefined) throw handlerFailed(`Cannot reply with ${describeValue(value)}: expected text, bytes or a value that JSON can hold`);
  return text;
}

function jsonValue(value: unknown): unknown {
  if (typeof value === 'bigint' && BigInt.asIntN(54, value) === value) return Number(value);
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) return Array.from(value as unknown as ArrayLike<unknown>);
  return value;
}
