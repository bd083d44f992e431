import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { ServingError } from '../../core/errors.ts';

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
  readonly exchanges: Set<PendingExchange>;
  /** Aborts when it closes. One for all its requests: making a controller costs more than queueing a request. */
  readonly closed: AbortController;
  /** Takes no more requests: the last reply said so, or what came after it was not HTTP. */
  isClosing: boolean;
}

export function clientLeft(): ServingError {
  return new ServingError('cancelled', 'Client closed the connection before the reply was complete');
}
