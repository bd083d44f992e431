import { Agent, request as requestHttp, type ClientRequest, type IncomingHttpHeaders, type IncomingMessage, type RequestOptions } from 'node:http';
import { Agent as TlsAgent, request as requestHttps } from 'node:https';
import { HEADER_LENGTH_HEADER, type EncodedBody } from '../codec/index.ts';
import type { Attempt } from './client.ts';
import { connectionError, errorCode } from './connection-error.ts';
import { InferenceError, invalidCall, invalidResponse, messageOf } from './inference-error.ts';
import { pem, type TransportOptions } from './transport-options.ts';

export interface RestRequest {
  readonly method: 'GET' | 'POST';
  /** Below the base path of the address. */
  readonly path: string;
  readonly body?: EncodedBody;
}

/**
 * A connection idle for longer is closed: servers close theirs too, uvicorn after 5 s and without a word, and a request that meets the closing fails.
 */
const MAX_IDLE_MS = 4000;

export interface RestReply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly bytes: Uint8Array;
}

export interface RestCall {
  /** Resolves with any whole reply. Rejects with InferenceError: `unavailable` (no connection, or it broke), `payload_too_large` (the reply). */
  send(request: RestRequest, attempt: Attempt): Promise<RestReply>;
  close(): void;
}

/** HTTP/1.1 over connections that are kept and used again. */
export function createRestCall({ address, authority, maxConnections, maxResponseBytes, tls }: TransportOptions): RestCall {
  const isTls = address.protocol === 'https:';
  const agentOptions = { keepAlive: true, maxSockets: maxConnections, timeout: MAX_IDLE_MS };
  const agent = isTls ? new TlsAgent({ ...agentOptions, ca: pem(tls.ca), cert: pem(tls.cert), key: pem(tls.key) }) : new Agent(agentOptions);
  const open = isTls ? requestHttps : requestHttp;
  const basePath = address.pathname.replace(/\/+$/, '');
  const target: RequestOptions = {
    agent,
    hostname: address.hostname.replace(/^\[|\]$/g, ''),
    ...(address.port === '' ? {} : { port: address.port }),
  };

  return {
    async send(request, attempt) {
      const options = {
        ...target,
        method: request.method,
        path: basePath + request.path,
        headers: { ...(authority === undefined ? {} : { host: authority }), ...headersOf(request.body, attempt) },
      };
      let outgoing: ClientRequest;
      try {
        outgoing = open(options);
      } catch (thrown) {
        // Header values with line breaks, and the like.
        throw invalidCall(`Cannot send the request: ${messageOf(thrown)}`, thrown);
      }
      // What an aborted attempt rejects with is of no account.
      attempt.signal.addEventListener('abort', () => {
        outgoing.destroy();
      });
      const response = receive(outgoing, maxResponseBytes, address.host);
      writeBody(outgoing, request.body);
      return response;
    },
    close: () => {
      agent.destroy();
    },
  };
}

function headersOf(body: EncodedBody | undefined, attempt: Attempt): Record<string, string | number> {
  if (body === undefined) return { ...attempt.headers };
  let length = 0;
  for (const chunk of body.chunks) length += chunk.length;
  return {
    ...attempt.headers,
    'content-type': body.contentType,
    'content-length': length,
    ...(body.headerLength === undefined ? {} : { [HEADER_LENGTH_HEADER]: body.headerLength }),
  };
}

/** All chunks leave in one write; they are the caller's memory and are not copied. */
function writeBody(outgoing: ClientRequest, body: EncodedBody | undefined): void {
  outgoing.cork();
  for (const chunk of body?.chunks ?? []) if (chunk.length > 0) outgoing.write(chunk);
  outgoing.end();
  outgoing.uncork();
}

function receive(outgoing: ClientRequest, maxBytes: number, host: string): Promise<RestReply> {
  return new Promise((resolve, reject) => {
    outgoing.on('error', (error) => {
      reject(failureOf(error, host));
    });
    outgoing.on('response', (incoming) => {
      collect(incoming, maxBytes, resolve, (error) => {
        reject(error instanceof InferenceError ? error : failureOf(error, host));
        outgoing.destroy();
      });
    });
  });
}

function collect(incoming: IncomingMessage, maxBytes: number, resolve: (reply: RestReply) => void, fail: (error: Error) => void): void {
  const chunks: Buffer[] = [];
  let length = 0;
  const tooLarge = (bytes: number): void => {
    fail(
      new InferenceError(
        'payload_too_large',
        `Cannot read the response: expected at most ${maxBytes} bytes (maxResponseBytes), got ${bytes} or more`,
      ),
    );
  };
  const announced = Number(incoming.headers['content-length'] ?? 0);
  if (announced > maxBytes) {
    tooLarge(announced);
    return;
  }
  incoming.on('data', (chunk: Buffer) => {
    length += chunk.length;
    if (length > maxBytes) tooLarge(length);
    else chunks.push(chunk);
  });
  incoming.on('error', fail);
  incoming.on('end', () => {
    const [only] = chunks;
    const bytes = chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks, length);
    resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, bytes });
  });
}

function failureOf(error: Error, host: string): InferenceError {
  const code = errorCode(error);
  // Node's HTTP parser.
  if (code.startsWith('HPE_')) {
    const got = error.message === '' ? code : error.message;
    return invalidResponse(`Cannot read the response of ${host}: expected HTTP/1.1, got something else (${got})`, { cause: error });
  }
  return connectionError(error, host);
}
