import { Socket, type OnReadOpts, type SocketConstructorOpts } from 'node:net';
import type { FrameStream } from './channel.ts';

/** The child's end. */
export function openFramePipe(fd: number): FrameStream {
  return (onread) => openSocket({ fd }, onread);
}

/**
 * The parent's end. Sockets read to where they are told (`onread`) when they are opened so; Node opens the pipes of a child otherwise, so that another socket takes
 * over the handle of this one. Where there is no handle to be had, the pipe is read as any stream.
 */
export function takeFramePipe(pipe: Socket): FrameStream {
  const holder = pipe as unknown as { _handle?: object | null };
  const { _handle: handle } = holder;
  if (typeof handle !== 'object' || handle === null) return pipe;
  return (onread) => {
    const early = pipe.read() as Uint8Array | null;
    holder._handle = null;
    const socket = openSocket({ handle }, onread);
    // The child's process counts its pipes: its end waits for this one, too.
    socket.once('close', () => pipe.destroy());
    // Later, as all that is read: who opens the pipe is not ready yet.
    if (early !== null) process.nextTick(feed, early, onread);
    return socket;
  };
}

/** Node takes more options than its types tell. */
function openSocket(source: { readonly fd: number } | { readonly handle: object }, onread: OnReadOpts): Socket {
  const options: SocketConstructorOpts & { readonly onread: OnReadOpts } = { ...source, readable: true, writable: true, onread };
  return new Socket(options);
}

/** What a child that was started early has said already. */
function feed(bytes: Uint8Array, onread: OnReadOpts): void {
  for (let at = 0; at < bytes.length;) {
    const room = typeof onread.buffer === 'function' ? onread.buffer() : onread.buffer;
    const count = Math.min(room.length, bytes.length - at);
    room.set(bytes.subarray(at, at + count));
    at += count;
    if (!onread.callback(count, room)) return;
  }
}
