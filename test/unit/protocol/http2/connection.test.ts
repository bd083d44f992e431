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
  HTTP2_WINDOW_BYTES,
  http2Head,
  readUint32,
  Setting,
} from '../../../../src/codec/index.ts';
import type { StreamHandler } from '../../../../src/protocol/http2/connection.ts';
import { encodeHeaders } from '../../../../src/protocol/http2/header-block.ts';
import type { RequestHeaders } from '../../../../src/protocol/http2/request-head.ts';
import type { ServerStream } from '../../../../src/protocol/http2/stream.ts';
import { block, Client, data, headers, REQUEST, settled } from './harness.ts';

const OK = encodeHeaders({ ':status': 200 });
const TRAILERS = encodeHeaders({ 'grpc-status': 0 });
const FRAME_BYTES = 16_384;

interface Request {
  readonly stream: ServerStream;
  readonly headers: RequestHeaders;
  body: string;
  hasEnded: boolean;
  /** Undefined as long as it is open. */
  isWhole?: boolean;
}

/** Keeps what comes. */
function recording(requests: Request[], isCopied = true): StreamHandler {
  return (stream, head) => {
    const request: Request = { stream, headers: head, body: '', hasEnded: false };
    requests.push(request);
    stream.listener = {
      data: (bytes) => {
        request.body += bytes.toString('latin1');
        return isCopied;
      },
      ended: () => (request.hasEnded = true),
      closed: (isWhole) => {
        if (request.isWhole !== undefined) throw new Error('closed twice');
        request.isWhole = isWhole;
      },
    };
  };
}

async function start(settings: readonly (readonly [number, number])[] = []): Promise<{ client: Client; requests: Request[] }> {
  const requests: Request[] = [];
  return { client: await new Client(recording(requests)).greet(settings), requests };
}

const END = FrameFlag.endHeaders | FrameFlag.endStream;

describe('a connection of HTTP/2', () => {
  it('greets with its limits and confirms those of the client', async () => {
    const { client } = await start();
    const [settings, confirmed] = client.of(FrameType.settings);
    expect(settings?.payload).toEqual(encodeHttp2Settings([[3, 1024], [4, 1 << 20], [6, 16_384]]).subarray(9)); // prettier-ignore
    expect(confirmed).toMatchObject({ flags: FrameFlag.ack, payload: Buffer.alloc(0) });
  });

  it('hands a request over, its body and its end', async () => {
    const { client, requests } = await start();
    await client.send(headers(1, [...REQUEST, ['x', 'a'], ['cookie', 'a=1'], ['x', 'b'], ['cookie', 'b=2'], ['content-length', '5']]));
    await client.send(data(1, 'ab'), data(1, 'cde', true));
    expect(requests).toMatchObject([{ body: 'abcde', hasEnded: true }]);
    expect({ ...requests[0]?.headers }).toMatchObject({ ':method': 'POST', ':path': '/', x: 'a, b', cookie: 'a=1; b=2' });
  });

  it('takes the same whatever the pieces it comes in', async () => {
    const bytes = Buffer.concat([
      Buffer.from(HTTP2_PREFACE, 'latin1'),
      encodeHttp2Settings([]),
      headers(1),
      data(1, 'a'.repeat(300)),
      encodeHttp2Frame(FrameType.data, FrameFlag.padded, 1, Buffer.from('\x03bcd\0\0\0', 'latin1')),
      headers(3, REQUEST, END),
      data(1, '', true),
    ]);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 80 }), { minLength: 1, maxLength: 20 }), async (cuts) => {
        const requests: Request[] = [];
        const client = new Client(recording(requests));
        for (let at = 0, turn = 0; at < bytes.length; turn++) {
          const size = cuts[turn % cuts.length] ?? 1;
          client.socket.push(Buffer.from(bytes.subarray(at, at + size)));
          at += size;
        }
        await settled();
        expect(requests).toMatchObject([
          { body: `${'a'.repeat(300)}bcd`, hasEnded: true },
          { body: '', hasEnded: true },
        ]);
        expect(client.goneWith).toBeUndefined();
      }),
      { numRuns: 40 },
    );
  });

  it('reads heads in several frames, padded, with priority', async () => {
    const { client, requests } = await start();
    const list = block(REQUEST);
    const first = Buffer.concat([Buffer.from([2, 0, 0, 0, 0, 1]), list.subarray(0, 9), Buffer.alloc(2)]);
    await client.send(
      encodeHttp2Frame(FrameType.headers, FrameFlag.padded | FrameFlag.priority | FrameFlag.endStream, 1, first),
      encodeHttp2Frame(FrameType.continuation, 0, 1, list.subarray(9, 10)),
    );
    await client.send(encodeHttp2Frame(FrameType.continuation, FrameFlag.endHeaders, 1, list.subarray(10)));
    expect(requests).toMatchObject([{ headers: { ':path': '/' }, hasEnded: true }]);
  });

  it('reads heads that refer to its header table', async () => {
    const { client, requests } = await start();
    // RFC 7541 C.3: three requests on one connection.
    const blocks = [
      '828684410f7777772e6578616d706c652e636f6d',
      '828684be58086e6f2d6361636865',
      '828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565',
    ];
    for (const [index, hex] of blocks.entries()) await client.send(encodeHttp2Frame(FrameType.headers, END, 2 * index + 1, Buffer.from(hex, 'hex')));
    await client.send(encodeHttp2Frame(FrameType.headers, END, 7, Buffer.from('828785bf', 'hex')));
    expect(requests.map(({ headers: head }) => ({ ...head }))).toEqual([
      { ':method': 'GET', ':scheme': 'http', ':path': '/', ':authority': 'www.example.com' },
      { ':method': 'GET', ':scheme': 'http', ':path': '/', ':authority': 'www.example.com', 'cache-control': 'no-cache' },
      { ':method': 'GET', ':scheme': 'https', ':path': '/index.html', ':authority': 'www.example.com', 'custom-key': 'custom-value' },
      { ':method': 'GET', ':scheme': 'https', ':path': '/index.html', 'cache-control': 'no-cache' },
    ]);
  });

  it('answers in one piece when all of it fits, and closes the stream when the kernel has it', async () => {
    const { client, requests } = await start();
    await client.send(headers(1, REQUEST, END));
    client.socket.isStuck = true;
    requests[0]?.stream.answer(OK, Buffer.from('body'), TRAILERS);
    await settled();
    expect(requests[0]?.isWhole).toBeUndefined();
    client.socket.unstick();
    await settled();
    expect(requests[0]?.isWhole).toBe(true);
    const answer = client.socket.frames.filter(({ stream }) => stream === 1);
    expect(answer.map(({ type, flags }) => [type, flags])).toEqual([
      [FrameType.headers, FrameFlag.endHeaders],
      [FrameType.data, 0],
      [FrameType.headers, FrameFlag.endHeaders | FrameFlag.endStream],
    ]);
    expect(answer[1]?.payload.toString()).toBe('body');
  });

  it('sends no more than the windows of stream and connection let through, and the rest when they grow', async () => {
    const { client, requests } = await start([[Setting.initialWindowSize, 10]]);
    await client.send(headers(1, REQUEST, END));
    const body = Buffer.alloc(100_000, 'x');
    requests[0]?.stream.answer(OK, body, TRAILERS);
    await settled();
    const sent = (): number => client.of(FrameType.data).reduce((sum, { payload }) => sum + payload.length, 0);
    expect(sent()).toBe(10);
    await client.send(encodeHttp2Numbers(FrameType.windowUpdate, 1, 90_000));
    expect(sent()).toBe(HTTP2_WINDOW_BYTES);
    await client.send(encodeHttp2Settings([[Setting.initialWindowSize, 0]]), encodeHttp2Numbers(FrameType.windowUpdate, 0, 90_000));
    expect(sent()).toBe(90_000);
    await client.send(encodeHttp2Settings([[Setting.initialWindowSize, 20]]));
    expect(sent()).toBe(90_020);
    expect(requests[0]?.isWhole).toBeUndefined();
    await client.send(encodeHttp2Numbers(FrameType.windowUpdate, 1, 90_000));
    expect([sent(), requests[0]?.isWhole, Math.max(...client.of(FrameType.data).map(({ payload }) => payload.length))]).toEqual([
      100_000,
      true,
      FRAME_BYTES,
    ]);
  });

  it('gives streams that wait their turn', async () => {
    const { client, requests } = await start([[Setting.initialWindowSize, HTTP2_MAX]]);
    await client.send(headers(1, REQUEST, END), headers(3, REQUEST, END));
    for (const { stream } of requests) stream.answer(OK, Buffer.alloc(400_000), TRAILERS);
    await client.send(encodeHttp2Numbers(FrameType.windowUpdate, 0, 400_000));
    const sent = (id: number): number =>
      client.of(FrameType.data).reduce((sum, { stream, payload }) => sum + (stream === id ? payload.length : 0), 0);
    expect(sent(3)).toBeGreaterThan(100_000);
    expect(sent(1) + sent(3)).toBe(HTTP2_WINDOW_BYTES + 400_000);
  });

  it('holds a client back that takes nothing, and goes on when it does', async () => {
    const { client, requests } = await start([[Setting.initialWindowSize, HTTP2_MAX]]);
    await client.send(encodeHttp2Numbers(FrameType.windowUpdate, 0, HTTP2_MAX - HTTP2_WINDOW_BYTES), headers(1, REQUEST, END));
    client.socket.isStuck = true;
    requests[0]?.stream.answer(OK, Buffer.alloc(8 << 20), TRAILERS);
    await settled();
    expect(client.socket.writableLength).toBeLessThan(2 << 20);
    for (let turn = 0; turn < 20 && requests[0]?.isWhole === undefined; turn++) {
      client.socket.unstick();
      await settled();
    }
    expect(requests[0]?.isWhole).toBe(true);
  });

  it('tells the client that it may send more once the listener had what came', async () => {
    const { client, requests } = await start();
    await client.send(headers(1));
    requests[0]?.stream.pause();
    const full = Buffer.alloc(FRAME_BYTES);
    for (let i = 0; i < 64; i++) await client.send(data(1, full));
    expect([requests[0]?.body.length, client.of(FrameType.windowUpdate).length]).toEqual([0, 1]);
    requests[0]?.stream.resume();
    await settled();
    const updates = client.of(FrameType.windowUpdate).slice(1);
    expect(updates.map(({ stream, payload }) => [stream, readUint32(payload, 0)])).toEqual([
      [1, 1 << 19],
      [1, 1 << 19],
    ]);
    for (let i = 0; i < 64; i++) await client.send(data(1, full));
    expect(
      client
        .of(FrameType.windowUpdate)
        .slice(3)
        .some(({ stream }) => stream === 0),
    ).toBe(true);
    expect([client.goneWith, client.resets]).toEqual([undefined, []]);
  });

  it('ends a request that sends more than its window', async () => {
    const { client, requests } = await start();
    await client.send(headers(1));
    requests[0]?.stream.pause();
    for (let i = 0; i < 65; i++) await client.send(data(1, Buffer.alloc(FRAME_BYTES)));
    expect([client.resets, requests[0]?.isWhole]).toEqual([[[1, ErrorCode.flowControlError]], false]);
  });

  it('gives the memory of what was read back, unless somebody keeps some of it', async () => {
    for (const isCopied of [true, false]) {
      const client = await new Client(recording([], isCopied)).greet();
      const chunk = Buffer.from(new ArrayBuffer(3 * FRAME_BYTES));
      Buffer.concat([headers(1), data(1, Buffer.alloc(FRAME_BYTES)), data(1, Buffer.alloc(FRAME_BYTES))]).copy(chunk);
      const used = headers(1).length + 2 * (9 + FRAME_BYTES);
      http2Head(chunk.length - used - 9, FrameType.data, 0, 1).copy(chunk, used);
      const { buffer } = chunk;
      client.socket.push(chunk);
      await settled();
      expect(buffer.byteLength).toBe(isCopied ? 0 : 3 * FRAME_BYTES);
    }
  });

  it('resets what the client still sends once it is answered in full', async () => {
    const { client, requests } = await start();
    await client.send(headers(1), data(1, 'a'));
    requests[0]?.stream.respond(OK, true);
    await client.send(data(1, 'b'), headers(1, [['x', 'y']], END));
    expect([client.resets, client.goneWith, requests[0]?.isWhole]).toEqual([[[1, ErrorCode.noError]], undefined, true]);
  });

  it('tells clients with a small header table that it is not used', async () => {
    const { client, requests } = await start([[Setting.headerTableSize, 0]]);
    await client.send(headers(1, REQUEST, END), headers(3, REQUEST, END));
    for (const { stream } of requests) stream.answer(OK, Buffer.from('x'), TRAILERS);
    await settled();
    expect(client.of(FrameType.headers).map(({ payload }) => payload[0] === 0x20)).toEqual([true, false, false, false]);
  });
});

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

describe('the end of a connection', () => {
  it('is announced, then told, and comes when the last answer is out', async () => {
    const { client, requests } = await start();
    await client.send(headers(1, REQUEST, END));
    client.connection.announceEnd();
    await client.send(headers(3, REQUEST, END));
    client.connection.close();
    await client.send(headers(5, REQUEST, END));
    expect(client.of(FrameType.goAway).map(({ payload }) => [readUint32(payload, 0), readUint32(payload, 4)])).toEqual([
      [HTTP2_MAX, ErrorCode.noError],
      [3, ErrorCode.noError],
    ]);
    expect([requests.length, client.resets]).toEqual([2, [[5, ErrorCode.refusedStream]]]);
    for (const { stream } of requests) {
      expect(client.socket.writableEnded).toBe(false);
      stream.answer(OK, Buffer.from('x'), TRAILERS);
      await settled();
    }
    expect([client.socket.writableEnded, requests.map(({ isWhole }) => isWhole)]).toEqual([true, [true, true]]);
  });

  it('after the GOAWAY of a client waits for what it has opened', async () => {
    const { client, requests } = await start();
    await client.send(headers(1, REQUEST, END), encodeHttp2Numbers(FrameType.goAway, 0, 0, ErrorCode.noError));
    expect(client.socket.writableEnded).toBe(false);
    requests[0]?.stream.answer(OK, Buffer.from('x'), TRAILERS);
    await settled();
    expect([client.socket.writableEnded, requests[0]?.isWhole]).toEqual([true, true]);
  });

  it('cut short resets what is under way', async () => {
    const { client, requests } = await start();
    await client.send(headers(1));
    client.connection.cut();
    await settled();
    expect([client.resets, requests[0]?.isWhole]).toEqual([[[1, ErrorCode.cancel]], false]);
  });
});
