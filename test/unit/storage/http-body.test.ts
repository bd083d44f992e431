import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BodyDecoder } from '../../../src/storage/http-body.ts';
import { MalformedAnswer, parseHead, type BodyFraming } from '../../../src/storage/http-head.ts';

/** What a decoder makes of bytes that come in pieces. */
function decode(framing: BodyFraming, pieces: readonly Buffer[]): { body: Buffer; decoder: BodyDecoder } {
  const decoder = new BodyDecoder(framing);
  const bodies = pieces.map((piece) => {
    const buffer = Buffer.concat([Buffer.from('behind'), piece, Buffer.from('stale\r\n0\r\n\r\n')]);
    const bytes = decoder.decode(buffer, 6, 6 + piece.length);
    return Buffer.from(buffer.subarray(6, 6 + bytes));
  });
  return { body: Buffer.concat(bodies), decoder };
}

function split(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [0, ...[...cuts].map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return places.slice(1).map((place, index) => bytes.subarray(places[index], place));
}

describe('BodyDecoder', () => {
  it('gives the same body however a chunked answer is cut', () => {
    const chunk = fc.uint8Array({ minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(fc.array(chunk, { maxLength: 6 }), fc.array(fc.nat(), { maxLength: 12 }), fc.boolean(), (chunks, cuts, hasExtras) => {
        const framed = chunks.map((bytes) =>
          Buffer.concat([Buffer.from(`${bytes.length.toString(16)}${hasExtras ? ';name=value' : ''}\r\n`), bytes, Buffer.from('\r\n')]),
        );
        const wire = Buffer.concat([...framed, Buffer.from(`0\r\n${hasExtras ? 'digest: x\r\n' : ''}\r\n`)]);
        const { body, decoder } = decode({ kind: 'chunked' }, split(wire, cuts));
        expect(body).toEqual(Buffer.concat(chunks));
        expect([decoder.isDone, decoder.hasSurplus]).toEqual([true, false]);
      }),
    );
  });

  it('stops at the length and tells of bytes behind it', () => {
    const { body, decoder } = decode({ kind: 'length', bytes: 5 }, [Buffer.from('abc'), Buffer.from('deXX')]);
    expect([body.toString(), decoder.isDone, decoder.hasSurplus]).toEqual(['abcde', true, true]);
  });

  it('is done when the connection ends only where that is the framing', () => {
    expect(new BodyDecoder({ kind: 'until close' }).endsWithConnection()).toBe(true);
    expect(new BodyDecoder({ kind: 'length', bytes: 1 }).endsWithConnection()).toBe(false);
    expect(new BodyDecoder({ kind: 'chunked' }).endsWithConnection()).toBe(false);
  });

  it.each(['x\r\n', '-1\r\n', '3\r\nabcd\r\n', '1000000000000000\r\n', '1'.repeat(5000), `0\r\n${'a: b\r\n'.repeat(101)}`])('refuses %j', (wire) => {
    expect(() => decode({ kind: 'chunked' }, [Buffer.from(wire)])).toThrow(MalformedAnswer);
  });
});

describe('parseHead', () => {
  const head = (...lines: string[]): ReturnType<typeof parseHead> => parseHead(lines.join('\r\n'), 'GET');

  it('reads status, headers and length', () => {
    const read = head('HTTP/1.1 206 Partial Content', 'Content-Length: 12', 'ETag:"x" ', 'X-A: 1', 'x-a: 2', '__proto__: p');
    expect(read).toMatchObject({ status: 206, framing: { kind: 'length', bytes: 12 }, keepsConnection: true });
    expect([read.headers['etag'], read.headers['x-a'], read.headers['__proto__'], Object.hasOwn(read.headers, 'constructor')]).toEqual([
      '"x"',
      '1, 2',
      'p',
      false,
    ]);
  });

  it.each([
    [['HTTP/1.1 200 OK', 'Content-Length: 1', 'Connection: close'], { kind: 'length', bytes: 1 }, false],
    [['HTTP/1.1 200', 'Content-Length: 1, 1'], { kind: 'length', bytes: 1 }, true],
    [['HTTP/1.0 200 OK', 'Content-Length: 1'], { kind: 'length', bytes: 1 }, false],
    [['HTTP/1.0 200 OK', 'Content-Length: 1', 'Connection: Keep-Alive'], { kind: 'length', bytes: 1 }, true],
    [['HTTP/1.1 200 OK', 'Transfer-Encoding: Chunked', 'Content-Length: 1'], { kind: 'chunked' }, true],
    [['HTTP/1.1 200 OK'], { kind: 'until close' }, false],
    [['HTTP/1.1 204 No Content'], { kind: 'length', bytes: 0 }, true],
  ])('%j has framing %j and keeps the connection: %j', (lines, framing, keepsConnection) => {
    expect(head(...lines)).toMatchObject({ framing, keepsConnection });
  });

  it('says that an answer to HEAD has no body', () => {
    expect(parseHead('HTTP/1.1 200 OK\r\nContent-Length: 99', 'HEAD').framing).toEqual({ kind: 'length', bytes: 0 });
  });

  it.each([
    ['SSH-2.0-OpenSSH'],
    ['HTTP/2 200'],
    ['HTTP/1.1 99 No'],
    ['HTTP/1.1 200 OK', 'no colon'],
    ['HTTP/1.1 200 OK', ' folded: x'],
    ['HTTP/1.1 200 OK', 'Content-Length: -1'],
    ['HTTP/1.1 200 OK', 'Content-Length: 1, 2'],
    ['HTTP/1.1 200 OK', 'Transfer-Encoding: gzip, chunked'],
    ['HTTP/1.1 200 OK', 'a: b\nc: d'],
  ])('refuses %j', (...lines) => {
    expect(() => head(...lines)).toThrow(MalformedAnswer);
  });
});
