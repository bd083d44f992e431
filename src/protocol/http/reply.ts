import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { ERROR_TABLE, type ServingError } from '../../core/errors.ts';
import type { HttpReply } from '../../core/http.ts';
import type { HttpExchange } from './exchange.ts';

/** Tells clients when to come back after an error that may pass. */
const RETRY_AFTER_SECONDS = '1';

/** An unread body up to this size is read and dropped, to keep the connection; beyond it the connection closes. */
const MAX_DROPPED_BYTES = 64 * 1024;

/** Bodies up to this size are written together with the head. */
const MAX_JOINED_BYTES = 16 * 1024;

/** How long a closing connection still takes what the client is sending. */
const LINGER_MS = 1000;

/** A reply with a JSON body. `value` is small: metadata, states, errors. */
export function jsonReply(status: number, value: unknown): HttpReply {
  return { status, headers: { 'content-type': 'application/json' }, body: JSON.stringify(value) };
}

export function errorReply(error: ServingError): HttpReply {
  const { http, retryable } = ERROR_TABLE[error.reason];
  const headers: Record<string, string> = { 'content-type': 'application/json' };
  if (retryable) headers['retry-after'] = RETRY_AFTER_SECONDS;
  return { status: http, headers, body: JSON.stringify({ error: error.message }) };
}

/**
 * Writes the reply; resolves when all of it is handed over, true when the connection closes after it. Replies are never compressed: tensors gain little, the common clients ask for gzip
 * without meaning it, and proxies do it where the network is the bottleneck.
 */
export async function writeReply(exchange: HttpExchange, reply: HttpReply, close: boolean): Promise<boolean> {
  const { response } = exchange;
  const { body } = reply;
  const length = bodyLength(body);
  const isClosing = close || mustCloseAfter(exchange);
  if (isClosing && exchange.hasUnreadBody) lingerOnClose(exchange.request.socket);
  exchange.isReplying = true;
  response.writeHead(reply.status, headerList(reply.headers, length, exchange.id, isClosing));
  exchange.responseBytes = length;
  if (reply.written !== undefined) response.once('finish', reply.written);
  if (body === undefined || typeof body === 'string') response.end(body);
  else if (length <= MAX_JOINED_BYTES) endJoined(response, body);
  else await writeChunks(exchange, body);
  return isClosing;
}

/** Node joins a short text with the head and writes both at once; bytes beside a head are more buffers for the kernel to gather, which costs more. */
function endJoined(response: ServerResponse, chunks: readonly Uint8Array[]): void {
  let text = '';
  for (const { buffer, byteOffset, byteLength } of chunks) text += Buffer.from(buffer, byteOffset, byteLength).toString('latin1');
  response.end(text, 'latin1');
}

/** Names and values in turn: Node takes such a list as it is, where it would walk an object twice. */
function headerList(headers: HttpReply['headers'], length: number, id: string, isClosing: boolean): string[] {
  const list = ['content-length', String(length), 'x-request-id', id];
  for (const name in headers) list.push(name, headers[name] ?? '');
  if (isClosing) list.push('connection', 'close');
  return list;
}

export function bodyLength(body: HttpReply['body']): number {
  if (body === undefined) return 0;
  if (typeof body === 'string') return Buffer.byteLength(body);
  let length = 0;
  for (const chunk of body) length += chunk.byteLength;
  return length;
}

async function writeChunks(exchange: HttpExchange, chunks: readonly Uint8Array[]): Promise<void> {
  const { response } = exchange;
  response.cork();
  for (const chunk of chunks) {
    if (chunk.byteLength === 0 || response.write(chunk)) continue;
    response.uncork();
    if (response.writableNeedDrain) {
      await exchange.drained();
      if (exchange.hasClientLeft) return;
    }
    response.cork();
  }
  response.end();
}

/** The rest of a body that nobody reads would be taken for the next request, so it is either dropped to its end or the connection closes. */
function mustCloseAfter(exchange: HttpExchange): boolean {
  if (!exchange.hasUnreadBody) return false;
  const length = exchange.request.headers['content-length'];
  return exchange.hasStartedReading || exchange.expectsContinue || length === undefined || Number(length) > MAX_DROPPED_BYTES;
}

/**
 * Closing a socket with unread bytes in it makes the kernel reset the connection, and the client loses the reply it was about to read. So the server
 * ends its own side and throws away what comes, for a while.
 */
export function lingerOnClose(socket: Socket): void {
  socket.destroySoon = () => {
    if (socket.writableEnded) return;
    socket.end();
    const timer = setTimeout(() => {
      socket.destroy();
    }, LINGER_MS);
    socket.once('close', () => {
      clearTimeout(timer);
    });
  };
}
