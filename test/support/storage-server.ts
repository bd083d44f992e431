import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What befalls a read of an object; each happens once. */
export type Fault =
  | { readonly kind: 'status'; readonly status: number; readonly code?: string; readonly headers?: Readonly<Record<string, string>> }
  /** The connection is cut after so many bytes of the body. */
  | { readonly kind: 'reset'; readonly afterBytes: number }
  /** Nothing more comes after so many bytes, and nothing ends. */
  | { readonly kind: 'stall'; readonly afterBytes: number }
  /** One byte of the body is another. */
  | { readonly kind: 'corrupt' };

export interface StoreDialect {
  /** Answers listings and other calls; false for a request that is not known. */
  answer(url: URL, objects: ReadonlyMap<string, Buffer>, response: ServerResponse): boolean;
  /** Key of the object that is asked for. */
  keyOf(url: URL): string | undefined;
  /** Whether the URL names this content; any does where it is not said. */
  isCurrent?(url: URL, bytes: Buffer): boolean;
  headersOf(bytes: Buffer): Readonly<Record<string, string>>;
}

/** A store on a local port, in the words of a dialect, with faults on demand. */
export class StorageServer {
  readonly objects = new Map<string, Buffer>();
  readonly faults: Fault[] = [];
  /** Ranges that were asked for, in order. */
  readonly reads: { readonly key: string; readonly range: string | undefined }[] = [];
  /** Runs before an object is answered. */
  onRead: ((key: string) => void) | undefined;
  /** Answers everything with this status. */
  refusal: { readonly status: number; readonly code: string } | undefined;
  readonly #dialect: StoreDialect;
  readonly #server: Server;

  constructor(dialect: StoreDialect) {
    this.#dialect = dialect;
    this.#server = createServer((request, response) => {
      this.#handle(request, response);
    });
  }

  async start(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  reset(): void {
    this.objects.clear();
    this.faults.length = 0;
    this.reads.length = 0;
    this.onRead = undefined;
    this.refusal = undefined;
  }

  #handle(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '/', 'http://localhost');
    if (this.refusal !== undefined) {
      sendError(response, this.refusal.status, this.refusal.code);
      return;
    }
    if (this.#dialect.answer(url, this.objects, response)) return;
    const key = this.#dialect.keyOf(url);
    const bytes = key === undefined ? undefined : this.objects.get(key);
    if (key === undefined || bytes === undefined || this.#dialect.isCurrent?.(url, bytes) === false) {
      sendError(response, 404, 'NoSuchKey');
      return;
    }
    this.#sendObject(request, response, key);
  }

  #sendObject(request: IncomingMessage, response: ServerResponse, key: string): void {
    const isHead = request.method === 'HEAD';
    if (!isHead) this.onRead?.(key);
    const bytes = this.objects.get(key) ?? Buffer.alloc(0);
    const etag = etagOf(bytes);
    const condition = request.headers['if-match'];
    if (condition !== undefined && condition !== etag) {
      sendError(response, 412, 'PreconditionFailed');
      return;
    }
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    if (!isHead) this.reads.push({ key, range: request.headers.range });
    const [start, end] = range === null ? [0, bytes.length] : [Number(range[1]), Math.min(bytes.length, Number(range[2]) + 1)];
    const fault = isHead || request.headers.range === 'bytes=0-0' ? undefined : this.faults.shift();
    if (fault?.kind === 'status') {
      sendError(response, fault.status, fault.code ?? 'InternalError', fault.headers);
      return;
    }
    response.writeHead(range === null ? 200 : 206, {
      'content-type': 'application/octet-stream',
      'content-length': String(end - start),
      etag,
      ...(range === null ? {} : { 'content-range': `bytes ${start}-${end - 1}/${bytes.length}` }),
      ...this.#dialect.headersOf(bytes),
    });
    const body = Buffer.from(bytes.subarray(start, end));
    if (isHead) response.end();
    else if (fault === undefined) response.end(body);
    else sendFaulty(response, body, fault);
  }
}

function sendFaulty(response: ServerResponse, body: Buffer, fault: Exclude<Fault, { readonly kind: 'status' }>): void {
  if (fault.kind === 'corrupt') {
    body[0] = (body[0] ?? 0) ^ 1;
    response.end(body);
    return;
  }
  response.write(body.subarray(0, fault.afterBytes), () => {
    if (fault.kind === 'reset') response.socket?.destroy();
  });
}

export function etagOf(bytes: Buffer): string {
  return `"${createHash('md5').update(bytes).digest('hex')}"`;
}

function sendError(response: ServerResponse, status: number, code: string, headers: Readonly<Record<string, string>> = {}): void {
  response.writeHead(status, { 'content-type': 'application/xml', ...headers });
  response.end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>Said by the store</Message></Error>`);
}
