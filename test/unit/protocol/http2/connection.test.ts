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
import { block, Client, data, END, FRAME_BYTES, headers, OK, recording, REQUEST, settled, start, TRAILERS, type Request } from './harness.ts';

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
