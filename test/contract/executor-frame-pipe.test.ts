import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { Channel, type FrameStream } from '../../src/executor/channel.ts';
import type { Frame } from '../../src/executor/frame.ts';
import { takeFramePipe } from '../../src/executor/frame-pipe.ts';
import { until } from '../support/until.ts';

const open: Socket[] = [];
afterEach(() => {
  for (const socket of open.splice(0)) socket.destroy();
});

async function socketPair(): Promise<[Socket, Socket]> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const here = connect((server.address() as AddressInfo).port, '127.0.0.1');
  await once(here, 'connect');
  const [there] = await accepted;
  server.close();
  open.push(here, there);
  return [here, there];
}

function channelOver(stream: FrameStream): { readonly channel: Channel; readonly frames: Frame[]; readonly hasEnded: () => boolean } {
  const frames: Frame[] = [];
  let hasEnded = false;
  const channel = new Channel(
    stream,
    {
      take: (frame) => frames.push(frame),
      fail: (error) => {
        throw error;
      },
      end: () => {
        hasEnded = true;
      },
    },
    { pausesWhenFull: false },
  );
  return { channel, frames, hasEnded: () => hasEnded };
}

test('the pipe of a child is read to where frames want it, with all that it said before', async () => {
  const [here, there] = await socketPair();
  const sender = channelOver(there);
  sender.channel.send('hello', 0, 0, { build: 'b', pid: 1 });
  await until(() => here.readableLength > 0);
  const stream = takeFramePipe(here);
  // Every Node that we run on has what this takes; without it large tensors are copied, and nothing says so.
  expect(stream).toBeTypeOf('function');
  const { frames, channel, hasEnded } = channelOver(stream);
  const tensor = Uint8Array.from({ length: 3_000_000 }, (_, i) => i % 251);
  for (const request of [1, 2, 3]) sender.channel.send('run', 1, request, {}, [tensor, new Uint8Array(8)]);
  await until(() => frames.length === 4);
  expect(frames.map(({ kind, request }) => `${kind} ${String(request)}`)).toEqual(['hello 0', 'run 1', 'run 2', 'run 3']);
  for (const { large } of frames.slice(1)) expect(Buffer.from(large[0]!).equals(tensor)).toBe(true);
  channel.send('stop', 0, 0, {});
  await until(() => sender.frames.length === 1);
  there.destroy();
  await until(() => hasEnded() && here.closed);
});

test('a closed pipe is left as it is', async () => {
  const [here] = await socketPair();
  here.destroy();
  await once(here, 'close');
  expect(takeFramePipe(here)).toBe(here);
});
