/** An answer that breaks the rules of HTTP/1.1 (RFC 9112). */
export class MalformedAnswer extends Error {
  override readonly name = 'MalformedAnswer';
}

/** Where a body ends: after so many bytes, after its last chunk, or with the connection. */
export type BodyFraming = { readonly kind: 'length'; readonly bytes: number } | { readonly kind: 'chunked' } | { readonly kind: 'until close' };

export interface AnswerHead {
  readonly status: number;
  /** By name in lower case; what stands there twice is joined by `, `. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly framing: BodyFraming;
  /** The connection may take another request when the body has ended. */
  readonly keepsConnection: boolean;
}

export type HttpMethod = 'GET' | 'HEAD';

/** `text` is what stands before the empty line, with a byte in each character. */
export function parseHead(text: string, method: HttpMethod): AnswerHead {
  const [statusLine = '', ...lines] = text.split('\r\n');
  const [, minor, code] = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: [^\0\n]*)?$/.exec(statusLine) ?? [];
  if (minor === undefined || code === undefined) throw new MalformedAnswer(`the answer begins with ${JSON.stringify(statusLine.slice(0, 40))}`);
  const status = Number(code);
  const headers = parseHeaders(lines);
  const framing = framingOf(status, headers, method);
  const connection = (headers['connection'] ?? '').toLowerCase().split(/[ \t]*,[ \t]*/);
  const isKept = minor === '1' ? !connection.includes('close') : connection.includes('keep-alive');
  return { status, headers, framing, keepsConnection: isKept && framing.kind !== 'until close' };
}

function parseHeaders(lines: readonly string[]): Readonly<Record<string, string | undefined>> {
  // No prototype: a header may be named like one of its members.
  const headers = Object.create(null) as Record<string, string | undefined>;
  for (const line of lines) {
    const [, name, value] = /^([!#$%&'*+\-.^_`|~\w]+):[ \t]*([^\0\r\n]*?)[ \t]*$/.exec(line) ?? [];
    if (name === undefined || value === undefined) throw new MalformedAnswer(`a header of the answer is ${JSON.stringify(line.slice(0, 40))}`);
    const key = name.toLowerCase();
    const before = headers[key];
    headers[key] = before === undefined ? value : `${before}, ${value}`;
  }
  return headers;
}

function framingOf(status: number, headers: Readonly<Record<string, string | undefined>>, method: HttpMethod): BodyFraming {
  if (method === 'HEAD' || status === 204 || status === 304) return { kind: 'length', bytes: 0 };
  const coding = headers['transfer-encoding'];
  if (coding !== undefined) {
    if (coding.toLowerCase() !== 'chunked') throw new MalformedAnswer(`the answer has the transfer coding ${JSON.stringify(coding.slice(0, 40))}`);
    return { kind: 'chunked' };
  }
  const length = headers['content-length'];
  if (length === undefined) return { kind: 'until close' };
  // The same length twice is one length.
  const [first = '', ...others] = length.split(', ');
  if (!/^\d{1,15}$/.test(first) || others.some((other) => other !== first)) {
    throw new MalformedAnswer(`the answer has the length ${JSON.stringify(length.slice(0, 40))}`);
  }
  return { kind: 'length', bytes: Number(first) };
}
