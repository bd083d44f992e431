import type { Socket } from 'node:net';

/** How every HTTP/2 connection begins (RFC 9113 section 3.4); no HTTP/1.1 method does. */
const PREFACE = Buffer.from('PRI ');

/**
 * Tells HTTP/1.1 from HTTP/2 with prior knowledge by a connection's first four bytes, which are put back. `decide` is called once, unless the connection ends
 * or says nothing for `timeoutMs`: then it is closed.
 */
export function readProtocol(socket: Socket, timeoutMs: number, decide: (isHttp2: boolean) => void): void {
  let read: Buffer | undefined;
  const onData = (chunk: Buffer): void => {
    read = read === undefined ? chunk : Buffer.concat([read, chunk]);
    const known = Math.min(read.length, PREFACE.length);
    const isPreface = read.compare(PREFACE, 0, known, 0, known) === 0;
    if (isPreface && known < PREFACE.length) return;
    forget();
    socket.pause();
    socket.unshift(read);
    decide(isPreface);
  };
  const forget = (): void => {
    clearTimeout(timer);
    socket.removeListener('data', onData);
    socket.removeListener('end', onEnd);
    socket.removeListener('error', onEnd);
    socket.removeListener('close', forget);
  };
  const onEnd = (): void => {
    forget();
    socket.on('error', () => undefined);
    socket.destroy();
  };
  const timer = setTimeout(onEnd, timeoutMs);
  socket.on('data', onData);
  socket.on('end', onEnd);
  socket.on('error', onEnd);
  socket.on('close', forget);
}
