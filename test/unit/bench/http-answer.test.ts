import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Answer } from '../../../src/bench/connection.ts';
import { HttpAnswerReader } from '../../../src/bench/http-answer.ts';

const LENGTH = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello';
const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nTrailer: 1\r\n\r\n';
const BINARY = 'HTTP/1.1 200 OK\r\ninference-header-content-length: 2\r\ncontent-length: 5\r\n\r\nhello';
const REFUSED = 'HTTP/1.1 429 Too Many Requests\r\ncontent-length: 4\r\n\r\nbusy';
const EARLY = `HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n${LENGTH}`;
const EMPTY = 'HTTP/1.1 204 No Content\r\n\r\n';

function readAll(reader: HttpAnswerReader, parts: readonly Buffer[]): Answer | undefined {
  let answer: Answer | undefined;
  for (const part of parts) {
    expect(answer).toBeUndefined();
    answer = reader.read(part);
  }
  return answer;
}

describe('HttpAnswerReader', () => {
  it.each([
    ['a length', LENGTH, undefined, 'hello'],
    ['chunks', CHUNKED, undefined, 'hello'],
    ['binary tensors', BINARY, undefined, 'hello'],
    ['a refusal', REFUSED, 'HTTP 429', 'busy'],
    ['an answer before the answer', EARLY, undefined, 'hello'],
  ])('reads %s wherever the bytes are cut', (_what, text, failure, body) => {
    const bytes = Buffer.from(text);
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 1, max: bytes.length - 1 }), { maxLength: 5 }), (cuts) => {
        const edges = [0, ...cuts.sort((a, b) => a - b), bytes.length];
        const parts = edges.slice(1).map((edge, index) => bytes.subarray(edges[index], edge));
        const answer = readAll(new HttpAnswerReader(true), parts);
        expect(answer?.failure).toBe(failure);
        expect(answer?.body?.toString()).toBe(body);
        expect(answer?.bytes).toBe(body.length);
      }),
    );
  });

  it('reads one answer after the other', () => {
    const reader = new HttpAnswerReader(true);
    for (const text of [CHUNKED, LENGTH, CHUNKED]) expect(reader.read(Buffer.from(text))?.body?.toString()).toBe('hello');
  });

  it('keeps no body that nobody reads, but what a failed answer says', () => {
    const reader = new HttpAnswerReader(false);
    expect(reader.read(Buffer.from(LENGTH))).toMatchObject({ bytes: 5, body: undefined });
    expect(reader.read(Buffer.from(REFUSED))?.body?.toString()).toBe('busy');
  });

  it('tells the length of the JSON before raw tensors', () => {
    expect(new HttpAnswerReader(true).read(Buffer.from(BINARY))?.headerLength).toBe(2);
  });

  it('an answer without content is whole with its head', () => {
    expect(new HttpAnswerReader(true).read(Buffer.from(EMPTY))).toMatchObject({ failure: 'HTTP 204', bytes: 0 });
  });

  it('an answer without a length ends with the connection', () => {
    const reader = new HttpAnswerReader(true);
    expect(reader.read(Buffer.from('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello'))).toBeUndefined();
    expect(reader.end()?.body?.toString()).toBe('hello');
  });

  it('a connection that ends within an answer has none', () => {
    const reader = new HttpAnswerReader(true);
    expect(reader.read(Buffer.from(LENGTH.slice(0, -1)))).toBeUndefined();
    expect(reader.end()).toBeUndefined();
  });

  it('knows that the server closes', () => {
    const reader = new HttpAnswerReader(true);
    reader.read(Buffer.from('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'));
    expect(reader.isClosing).toBe(true);
  });

  it.each(['SSH-2.0-OpenSSH\r\n\r\n', 'HTTP/2 200\r\n\r\n', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n'])(
    '%j is refused',
    (text) => {
      expect(() => new HttpAnswerReader(true).read(Buffer.from(text))).toThrow('no HTTP/1.1 answer');
    },
  );

  it('a head without end is refused, not gathered without bound', () => {
    const reader = new HttpAnswerReader(true);
    reader.read(Buffer.alloc(65_000, 'x'));
    expect(() => reader.read(Buffer.alloc(1000, 'x'))).toThrow('no HTTP/1.1 answer');
  });
});
