import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { SILENT_LOGGER } from '../../../../src/core/context.ts';
import { StreamCall } from '../../../../src/protocol/v2-grpc/stream-call.ts';
import { idleConnection, loneStream } from '../http2/harness.ts';

function compressed(text: string): Buffer {
  const message = gzipSync(text);
  const head = Buffer.alloc(5);
  head[0] = 1;
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

describe('a streaming gRPC call', () => {
  it('reads nothing more while messages are inflated, and takes them in their order', async () => {
    const stream = loneStream();
    const taken: string[] = [];
    let ended = (): void => undefined;
    const isOver = new Promise<void>((resolve) => (ended = resolve));
    const call = new StreamCall(
      'Test/Watch',
      () => ({ message: (message) => void taken.push(message.toString()), ended, closed: () => undefined }),
      { stream, headers: { 'grpc-encoding': 'gzip' }, connection: idleConnection() },
      { limits: { maxReceiveBytes: 1 << 20, maxSendBytes: -1, stallTimeoutMs: 1000 }, log: SILENT_LOGGER, observer: {} },
    );
    call.begin();
    stream.take(Buffer.concat([compressed('one'), compressed('two')]), false);
    // It is kept, not read.
    expect([stream.take(compressed('three'), true), stream.hasEnded, taken]).toEqual([false, false, []]);
    await isOver;
    expect(taken).toEqual(['one', 'two', 'three']);
  });
});
