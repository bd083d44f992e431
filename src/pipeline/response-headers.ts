import { describeValue } from '../handler/index.ts';
import { WrongAnswer } from './wrong-answer.ts';

/** RFC 9110 section 5.6.2. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;
/** Visible ASCII, blanks and tabs inside; nothing that could end the line. */
const VALUE = /^[\x21-\x7e]([\t\x20-\x7e]*[\x21-\x7e])?$|^$/;

/** They belong to the transport, or are made from the answer itself. */
const RESERVED: ReadonlySet<string> = new Set([
  'connection',
  'content-encoding',
  'content-length',
  'content-type',
  'date',
  'host',
  'inference-header-content-length',
  'keep-alive',
  'proxy-authenticate',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

const MOST_HEADERS = 64;
const MOST_BYTES = 16_384;

/** Names in lower case, undefined for none. Throws WrongAnswer naming the header and why it cannot be sent. */
export function checkResponseHeaders(headers: Readonly<Record<string, unknown>>): Readonly<Record<string, string>> | undefined {
  const entries = Object.entries(headers);
  if (entries.length === 0) return undefined;
  if (entries.length > MOST_HEADERS) throw new WrongAnswer(`ctx.responseHeaders has ${entries.length} headers, expected at most ${MOST_HEADERS}`);
  const checked: Record<string, string> = Object.create(null) as Record<string, string>;
  let bytes = 0;
  for (const [written, value] of entries) {
    const name = written.toLowerCase();
    if (!TOKEN.test(name)) throw new WrongAnswer(`ctx.responseHeaders has ${JSON.stringify(written)}, expected the name of a header`);
    // gRPC keeps its own names, and -bin for values that are not text.
    if (RESERVED.has(name) || name.startsWith('grpc-') || name.endsWith('-bin'))
      throw new WrongAnswer(
        `ctx.responseHeaders has ${JSON.stringify(written)}, which the server sets itself; for a content type return reply(value, contentType)`,
      );
    if (typeof value !== 'string' || !VALUE.test(value))
      throw new WrongAnswer(`ctx.responseHeaders[${JSON.stringify(written)}] must be text of one line in ASCII, got ${describeValue(value)}`);
    bytes += name.length + value.length;
    checked[name] = value;
  }
  if (bytes > MOST_BYTES) throw new WrongAnswer(`ctx.responseHeaders takes ${bytes} bytes, expected at most ${MOST_BYTES}`);
  return checked;
}
