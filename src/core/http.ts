import type { Logger } from './context.ts';
import type { StopSignal } from './stop-signal.ts';

/** One HTTP request as routes see it, whatever carried it (HTTP/1.1 through express, an HTTP/2 stream). */
export interface HttpCall {
  readonly method: string;
  /** Values of the route's `:name` parts, decoded. A null-prototype record. */
  readonly params: Readonly<Record<string, string>>;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly id: string;
  /** Aborts when the client closes the connection before the reply is complete. */
  readonly signal: StopSignal;
  readonly log: Logger;
  /** Milliseconds on the clock of `performance.now()`: when the request's head had arrived. */
  readonly receivedAt: number;
  /**
   * The whole body, inflated. The buffer belongs to the caller and nothing else refers to it. Throws payload_too_large, request_timeout (slow body),
   * unsupported_media_type (unknown Content-Encoding), invalid_request (broken compression, fewer bytes than announced).
   */
  readBody(): Promise<Uint8Array>;
  /** The same for bodies that may be large: the bytes hold until `use` settles, then their memory serves others. Resolves to what `use` gives. */
  useBody<T>(use: (bytes: Uint8Array) => T | Promise<T>): Promise<T>;
}

export interface HttpReply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Text, or chunks written in order without joining them. Absent: empty body. */
  readonly body?: string | readonly Uint8Array[];
  /** May be called once the body was handed to the kernel and nobody reads the chunks any more; never when the client leaves before. */
  readonly written?: () => void;
}

/** A route is a function: matching, bodies and sockets belong to the adapter. `path` is in express's syntax, e.g. `/v2/models/:model/infer`. */
export interface HttpRoute {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  /** Carries much traffic: adapters may find it before they look at the others. Such a path has one `:name` part. */
  readonly isBusy?: true;
  handle(call: HttpCall): HttpReply | Promise<HttpReply>;
}
