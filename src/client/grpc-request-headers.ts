import {
  encodeTimeout,
  headerBytes,
  HTTP2_HEAD_BYTES,
  HTTP_SCHEME,
  HTTPS_SCHEME,
  isBinaryKey,
  isMetadataKey,
  isMetadataText,
  POST_METHOD,
  writeHeader,
} from '../codec/index.ts';
import type { Attempt } from './client.ts';
import { invalidCall } from './inference-error.ts';

/** Room for grpc-timeout. */
const TIMEOUT_BYTES = 40;

/** What HTTP/2 forbids (RFC 9113 section 8.2.2) and what gRPC sets by itself. */
const RESERVED: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'content-type',
  'host',
  'keep-alive',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
  'user-agent',
]);

/** Header blocks of requests. What is the same for all calls of a method is encoded once. */
export class GrpcRequestHeaders {
  readonly #scheme: number;
  readonly #authority: string;
  readonly #known = new Map<string, Buffer>();

  constructor(address: URL, authority: string | undefined) {
    this.#scheme = address.protocol === 'grpcs:' ? HTTPS_SCHEME : HTTP_SCHEME;
    this.#authority = authority ?? address.host;
  }

  /** The block behind HTTP2_HEAD_BYTES of free space. Throws InferenceError invalid_request for headers that cannot be sent. */
  encode(path: string, { headers, timeoutMs }: Attempt): Buffer {
    const first = this.#first(path);
    let bytes = HTTP2_HEAD_BYTES + first.length + TIMEOUT_BYTES;
    for (const name in headers) bytes += headerBytes(name, headers[name] ?? '');
    const block = Buffer.allocUnsafe(bytes);
    block.set(first, HTTP2_HEAD_BYTES);
    let at = writeHeader(block, HTTP2_HEAD_BYTES + first.length, 'grpc-timeout', encodeTimeout(timeoutMs));
    for (const name in headers) {
      const value = headers[name] ?? '';
      if (RESERVED.has(name)) continue;
      check(name, value);
      at = writeHeader(block, at, name, value, name === 'authorization');
    }
    return block.subarray(0, at);
  }

  #first(path: string): Buffer {
    const known = this.#known.get(path);
    if (known !== undefined) return known;
    const headers: readonly (readonly [string, string])[] = [
      [':path', path],
      [':authority', this.#authority],
      ['te', 'trailers'],
      ['content-type', 'application/grpc'],
      ['user-agent', 'kserve-node'],
      ['grpc-accept-encoding', 'identity,deflate,gzip'],
    ];
    const block = Buffer.allocUnsafe(headers.reduce((sum, [name, value]) => sum + headerBytes(name, value), 2));
    block[0] = POST_METHOD;
    block[1] = this.#scheme;
    let at = 2;
    for (const [name, value] of headers) at = writeHeader(block, at, name, value);
    const first = block.subarray(0, at);
    this.#known.set(path, first);
    return first;
  }
}

function check(name: string, value: string): void {
  if (!isMetadataKey(name) || isBinaryKey(name)) throw invalidCall(`Cannot send the request: header "${name}" cannot be gRPC metadata`);
  if (!isMetadataText(value)) throw invalidCall(`Cannot send the request: header "${name}" has characters that gRPC does not carry`);
}
