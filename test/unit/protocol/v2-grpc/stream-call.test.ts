import type { ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import { PassThrough } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { SILENT_LOGGER } from '../../../../src/core/context.ts';
import { Http2Connection } from '../../../../src/protocol/http2/connection.ts';
import { StreamCall } from '../../../../src/protocol/v2-grpc/stream-call.ts';

function compressed(text: string): Buffer {
  const message = gzipSync(text);
  const head = Buffer.alloc(5);
  head[0] = 1;
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

describe('a streaming gRPC call', () => {
  it('reads nothing more while messages are inflated, and takes them in their order', async () => {
    const stream = new PassThrough({ autoDestroy: false });
    const taken: string[] = [];
    let ended = (): void => undefined;
    const isOver = new Promise<void>((resolve) => (ended = resolve));
    const call = new StreamCall(
      'Test/Watch',
      () => ({ message: (message) => void taken.push(message.toString()), ended, closed: () => undefined }),
      {
        stream: stream as unknown as ServerHttp2Stream,
        headers: { 'grpc-encoding': 'gzip' },
        connection: new Http2Connection(new PassThrough() as unknown as ServerHttp2Session),
      },
      { limits: { maxReceiveBytes: 1 << 20, maxSendBytes: -1, stallTimeoutMs: 1000 }, log: SILENT_LOGGER, observer: {} },
    );
    call.begin();
    stream.write(Buffer.concat([compressed('one'), compressed('two')]));
    expect([stream.isPaused(), taken]).toEqual([true, []]);
    stream.end(compressed('three'));
    await isOver;
    expect(taken).toEqual(['one', 'two', 'three']);
  });
});
