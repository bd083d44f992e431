import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  encodeHttp2Frame,
  encodeHttp2Numbers,
  encodeHttp2Settings,
  ErrorCode,
  FrameFlag,
  FrameType,
  HTTP2_MAX,
  HTTP2_PREFACE,
  http2Head,
  Setting,
} from '../../../../src/codec/index.ts';
import { Client, data, END, FRAME_BYTES, headers, OK, recording, REQUEST, settled, start, TRAILERS, type Request } from './harness.ts';

describe('a client that breaks the rules', () => {
  const bad = (type: number, stream: number, bytes: number, flags = 0): Buffer => encodeHttp2Frame(type, flags, stream, Buffer.alloc(bytes));

  it.each<[string, readonly Buffer[], number]>([
    ['DATA of no stream', [bad(FrameType.data, 0, 1)], ErrorCode.protocolError],
    ['DATA of an idle stream', [data(5, 'x')], ErrorCode.protocolError],
    ['RST_STREAM of an idle stream', [encodeHttp2Numbers(FrameType.resetStream, 5, 8)], ErrorCode.protocolError],
    ['WINDOW_UPDATE of an idle stream', [encodeHttp2Numbers(FrameType.windowUpdate, 5, 8)], ErrorCode.protocolError],
    ['HEADERS of no stream', [headers(0)], ErrorCode.protocolError],
    ['HEADERS of a server', [headers(2)], ErrorCode.protocolError],
    [
      'HEADERS of a stream that is closed',
      [headers(5, REQUEST, END), encodeHttp2Numbers(FrameType.resetStream, 5, 8), headers(3)],
      ErrorCode.streamClosed,
    ],
    ['PING of a stream', [bad(FrameType.ping, 1, 8)], ErrorCode.protocolError],
    ['PING of seven bytes', [bad(FrameType.ping, 0, 7)], ErrorCode.frameSizeError],
    ['SETTINGS of a stream', [bad(FrameType.settings, 1, 6)], ErrorCode.protocolError],
    ['SETTINGS of seven bytes', [bad(FrameType.settings, 0, 7)], ErrorCode.frameSizeError],
    ['SETTINGS that confirm and say more', [bad(FrameType.settings, 0, 6, FrameFlag.ack)], ErrorCode.frameSizeError],
    ['ENABLE_PUSH of 2', [encodeHttp2Settings([[Setting.enablePush, 2]])], ErrorCode.protocolError],
    ['MAX_FRAME_SIZE of 1', [encodeHttp2Settings([[Setting.maxFrameSize, 1]])], ErrorCode.protocolError],
    ['INITIAL_WINDOW_SIZE beyond all', [encodeHttp2Settings([[Setting.initialWindowSize, 2 ** 31]])], ErrorCode.flowControlError],
    ['GOAWAY of a stream', [bad(FrameType.goAway, 1, 8)], ErrorCode.protocolError],
    ['GOAWAY of seven bytes', [bad(FrameType.goAway, 0, 7)], ErrorCode.frameSizeError],
    ['PUSH_PROMISE', [bad(FrameType.pushPromise, 1, 8)], ErrorCode.protocolError],
    ['PRIORITY of four bytes', [bad(FrameType.priority, 1, 4)], ErrorCode.frameSizeError],
    ['a window of the connection beyond all', [encodeHttp2Numbers(FrameType.windowUpdate, 0, HTTP2_MAX)], ErrorCode.flowControlError],
    ['a window of the connection that does not grow', [encodeHttp2Numbers(FrameType.windowUpdate, 0, 0)], ErrorCode.protocolError],
    ['CONTINUATION of nothing', [bad(FrameType.continuation, 1, 1)], ErrorCode.protocolError],
    ['a head that does not go on', [headers(1, REQUEST, 0), headers(3)], ErrorCode.protocolError],
    ['more padding than frame', [headers(1), encodeHttp2Frame(FrameType.data, FrameFlag.padded, 1, Buffer.of(9, 0))], ErrorCode.protocolError],
    ['a frame beyond the limit', [http2Head(FRAME_BYTES + 1, FrameType.data, 0, 1)], ErrorCode.frameSizeError],
    ['a block that is none', [encodeHttp2Frame(FrameType.headers, END, 1, Buffer.of(0x80))], ErrorCode.compressionError],
    [
      'an endless head',
      [headers(1, REQUEST, 0), ...Array.from({ length: 9000 }, () => bad(FrameType.continuation, 1, 0))],
      ErrorCode.enhanceYourCalm,
    ],
  ])('by %s loses its connection', async (_what, frames, code) => {
    const { client } = await start();
    await client.send(...frames);
    expect(client.goneWith).toBe(code);
    expect(client.socket.writableEnded).toBe(true);
  });

  it.each<[string, readonly Buffer[], number]>([
    ['no path', [headers(1, REQUEST.slice(0, 2))], ErrorCode.protocolError],
    ['an empty path', [headers(1, [...REQUEST.slice(0, 2), [':path', '']])], ErrorCode.protocolError],
    ['a pseudo-header of answers', [headers(1, [...REQUEST, [':status', '200']])], ErrorCode.protocolError],
    ['a pseudo-header twice', [headers(1, [...REQUEST, [':path', '/']])], ErrorCode.protocolError],
    ['a pseudo-header behind others', [headers(1, [['x', 'y'], ...REQUEST])], ErrorCode.protocolError],
    ['a name in upper case', [headers(1, [...REQUEST, ['X', 'y']])], ErrorCode.protocolError],
    ['a line end', [headers(1, [...REQUEST, ['x', 'a\r\nb: c']])], ErrorCode.protocolError],
    ['a header of connections', [headers(1, [...REQUEST, ['transfer-encoding', 'chunked']])], ErrorCode.protocolError],
    ['te of something else', [headers(1, [...REQUEST, ['te', 'gzip']])], ErrorCode.protocolError],
    ['a length that is none', [headers(1, [...REQUEST, ['content-length', '-1']])], ErrorCode.protocolError],
    ['two lengths', [headers(1, [...REQUEST, ['content-length', '1'], ['content-length', '1']])], ErrorCode.protocolError],
    ['less than its length', [headers(1, [...REQUEST, ['content-length', '2']]), data(1, 'x', true)], ErrorCode.protocolError],
    ['more than its length', [headers(1, [...REQUEST, ['content-length', '2']]), data(1, 'xxx')], ErrorCode.protocolError],
    ['a length and no body', [headers(1, [...REQUEST, ['content-length', '2']], END)], ErrorCode.protocolError],
    ['trailers that do not end it', [headers(1), headers(1, [['x', 'y']])], ErrorCode.protocolError],
    ['pseudo-headers in trailers', [headers(1), headers(1, REQUEST, END)], ErrorCode.protocolError],
    ['DATA behind its end', [headers(1, REQUEST, END), data(1, 'x')], ErrorCode.streamClosed],
    ['a window that does not grow', [headers(1), encodeHttp2Numbers(FrameType.windowUpdate, 1, 0)], ErrorCode.protocolError],
    ['a window beyond all', [headers(1), encodeHttp2Numbers(FrameType.windowUpdate, 1, HTTP2_MAX)], ErrorCode.flowControlError],
    ['a large head', [headers(1, [...REQUEST, ['x', 'y'.repeat(16_000)], ['z', 'y'.repeat(300)]])], ErrorCode.enhanceYourCalm],
  ])('by %s loses the stream, and no other', async (_what, frames, code) => {
    const { client, requests } = await start();
    await client.send(...frames.map((frame) => frame.subarray(0, 9 + FRAME_BYTES)));
    expect([client.resets, client.goneWith]).toEqual([[[1, code]], undefined]);
    await client.send(headers(3, REQUEST, END));
    expect(requests.at(-1)).toMatchObject({ hasEnded: true });
    expect(requests.slice(0, -1).every(({ isWhole }) => isWhole === false)).toBe(true);
  });

  it.each([
    ['another protocol', 'GET / HTTP/1.1\r\n\r\n'],
    ['a preface that goes wrong', `${HTTP2_PREFACE.slice(0, -1)}x`],
    ['anything but SETTINGS first', `${HTTP2_PREFACE}\0\0\0\0\0\0\0\0\x01`],
  ])('by %s loses its connection', async (_what, bytes) => {
    const client = new Client(() => undefined);
    await client.send(Buffer.from(bytes, 'latin1'));
    expect(client.goneWith).toBe(ErrorCode.protocolError);
  });

  it('by resetting streams as fast as it opens them loses its connection', async () => {
    const { client, requests } = await start();
    for (let i = 0; i < 1100 && client.goneWith === undefined; i++) {
      await client.send(headers(2 * i + 1), encodeHttp2Numbers(FrameType.resetStream, 2 * i + 1, ErrorCode.cancel));
    }
    expect(client.goneWith).toBe(ErrorCode.enhanceYourCalm);
    expect(requests.every(({ isWhole }) => isWhole === false)).toBe(true);
  });

  it('by opening more than it may has those refused', async () => {
    const { client, requests } = await start();
    for (let i = 0; i < 1030; i++) await client.send(headers(2 * i + 1));
    expect(requests.length).toBe(1024);
    expect(client.resets).toEqual([2049, 2051, 2053, 2055, 2057, 2059].map((id) => [id, ErrorCode.refusedStream]));
  });

  it('by asking for signs of life and taking none is not read any more', async () => {
    const { client } = await start();
    client.socket.isStuck = true;
    const pings = Buffer.concat(Array.from({ length: 4000 }, () => encodeHttp2Frame(FrameType.ping, 0, 0, Buffer.alloc(8))));
    for (let i = 0; i < 200; i++) await client.send(pings);
    expect(client.socket.isPaused()).toBe(true);
    expect(client.socket.writableLength).toBeLessThan(8 << 20);
  }, 60_000);

  it('with anything never crashes the server, and every stream closes once', async () => {
    const frame = fc.oneof(
      fc.record({ type: fc.integer({ min: 0, max: 10 }), flags: fc.integer({ min: 0, max: 255 }), stream: fc.integer({ min: 0, max: 9 }), payload: fc.uint8Array({ maxLength: 30 }) }).map(({ type, flags, stream, payload }) => encodeHttp2Frame(type, flags, stream, payload)), // prettier-ignore
      fc.integer({ min: 0, max: 4 }).map((n) => headers(2 * n + 1)),
      fc.integer({ min: 0, max: 4 }).map((n) => headers(2 * n + 1, REQUEST, END)),
      fc.integer({ min: 0, max: 4 }).map((n) => data(2 * n + 1, 'abc')),
      fc.integer({ min: 0, max: 4 }).map((n) => encodeHttp2Numbers(FrameType.resetStream, 2 * n + 1, 8)),
      fc.uint8Array({ maxLength: 20 }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(frame, { maxLength: 12 }), fc.integer({ min: 0, max: 3 }), async (frames, answers) => {
        const requests: Request[] = [];
        const client = await new Client(recording(requests, false)).greet();
        for (const [index, one] of frames.entries()) {
          await client.send(one);
          if (index % 4 === answers) requests.at(-1)?.stream.answer(OK, Buffer.from('x'), TRAILERS);
        }
        expect(client.goneWith).not.toBe(ErrorCode.internalError);
        client.socket.destroy();
        await settled();
        expect(client.isGone).toBe(true);
        expect(requests.every(({ isWhole }) => isWhole !== undefined)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});
