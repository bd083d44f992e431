import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** A request with its reply, as far as its connection knows it. */
export interface PendingExchange {
  readonly response: ServerResponse;
  readonly hasUnreadBody: boolean;
  leave(): void;
  watch(now: number): void;
}

/** A client's connection with its exchanges in flight; there are several when it pipelines. */
export interface Connection {
  readonly socket: Socket;
  /** An array: a Set that grows and shrinks with each request leaves its old tables to the full collections. */
  readonly exchanges: PendingExchange[];
  /** Takes no more requests: the last reply said so, or what came after it was not HTTP. */
  isClosing: boolean;
}
