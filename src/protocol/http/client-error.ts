import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { ERROR_TABLE, type ErrorReason } from '../../core/errors.ts';
import type { Connection, PendingExchange } from './connection.ts';
import { lingerOnClose } from './reply.ts';

interface ClientFault {
  readonly reason: ErrorReason;
  readonly message: string;
}

/** What was wrong with bytes that never became a request, by Node's error code. */
export function describeClientError(code: string | undefined): ClientFault {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return { reason: 'headers_too_large', message: 'Cannot read the request: its head exceeds the limit' };
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return { reason: 'payload_too_large', message: 'Cannot read the request: chunk extensions exceed the limit' };
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return { reason: 'request_timeout', message: 'Cannot read the request: it did not arrive in time' };
    default:
      return { reason: 'invalid_request', message: `Cannot read the request: expected HTTP/1.1, got ${code ?? 'something else'}` };
  }
}

/**
 * Answers bytes that are not HTTP, unless a reply to an earlier request is still to come on the connection: the error would be taken for that reply.
 * Then the connection closes when the replies are out.
 */
export function answerClientError(error: NodeJS.ErrnoException, connection: Connection): void {
  const { socket, exchanges } = connection;
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  // The parser reports the same fault again with every further byte.
  if (connection.isClosing) return;
  connection.isClosing = true;
  let broken: PendingExchange | undefined;
  let waiting = 0;
  for (const exchange of exchanges) {
    if (exchange.hasUnreadBody) {
      broken = exchange;
      continue;
    }
    exchange.response.shouldKeepAlive = false;
    waiting++;
  }
  const isBrokenAnswered = broken?.response.headersSent === true;
  if (waiting === 0) {
    if (isBrokenAnswered) socket.destroy();
    else writeFault(socket, describeClientError(error.code));
  }
  broken?.leave();
}

function writeFault(socket: Socket, fault: ClientFault): void {
  const status = ERROR_TABLE[fault.reason].http;
  const body = JSON.stringify({ error: fault.message });
  const head = [
    `HTTP/1.1 ${String(status)} ${STATUS_CODES[status] ?? ''}`,
    'Content-Type: application/json',
    `Content-Length: ${String(Buffer.byteLength(body))}`,
    'Connection: close',
  ];
  lingerOnClose(socket);
  socket.write(`${head.join('\r\n')}\r\n\r\n${body}`);
  socket.destroySoon();
}
