import { ServingError } from '../core/errors.ts';

/**
 * A frame of HTTP/2 (RFC 9113 section 4.1), big-endian:
 *
 *     0              3        4         5                          9         9 + length
 *     | length, 24   | type   | flags   | 0, stream, 31            | payload |
 */
export const HTTP2_HEAD_BYTES = 9;

export const HTTP2_PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

/** Largest payload until SETTINGS say otherwise; also the least that a peer must take. */
export const HTTP2_FRAME_BYTES = 16_384;
/** No SETTINGS may say more. */
export const HTTP2_MOST_FRAME_BYTES = 2 ** 24 - 1;
/** Of the peer's header table until SETTINGS say otherwise. */
export const HTTP2_TABLE_BYTES = 4096;
/** Of a stream and of the connection until SETTINGS or WINDOW_UPDATE say otherwise. */
export const HTTP2_WINDOW_BYTES = 65_535;
/** Of windows and of stream numbers. */
export const HTTP2_MAX = 2 ** 31 - 1;

export const FrameType = {
  data: 0,
  headers: 1,
  priority: 2,
  resetStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const FrameFlag = { endStream: 0x1, ack: 0x1, endHeaders: 0x4, padded: 0x8, priority: 0x20 } as const;

export const Setting = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
} as const;

export const ErrorCode = {
  noError: 0,
  protocolError: 1,
  internalError: 2,
  flowControlError: 3,
  streamClosed: 5,
  frameSizeError: 6,
  refusedStream: 7,
  cancel: 8,
  compressionError: 9,
  enhanceYourCalm: 11,
  inadequateSecurity: 12,
} as const;

/** What ends a connection, and the code that says so. */
export class Http2Error extends Error {
  readonly code: number;

  constructor(message: string, code: number = ErrorCode.protocolError) {
    super(message);
    this.code = code;
  }
}

export function writeHttp2Head(target: Uint8Array, at: number, length: number, type: number, flags: number, stream: number): void {
  target[at] = length >>> 16;
  target[at + 1] = length >>> 8;
  target[at + 2] = length;
  target[at + 3] = type;
  target[at + 4] = flags;
  writeUint32(target, at + 5, stream);
}

/** What stands before a payload that is written by itself. */
export function http2Head(length: number, type: number, flags: number, stream: number): Buffer {
  const bytes = Buffer.allocUnsafe(HTTP2_HEAD_BYTES);
  writeHttp2Head(bytes, 0, length, type, flags, stream);
  return bytes;
}

/** A frame whose payload is 32-bit numbers: WINDOW_UPDATE, RST_STREAM, GOAWAY without words. */
export function encodeHttp2Numbers(type: number, stream: number, ...numbers: readonly number[]): Buffer {
  const frame = Buffer.allocUnsafe(HTTP2_HEAD_BYTES + 4 * numbers.length);
  writeHttp2Head(frame, 0, 4 * numbers.length, type, 0, stream);
  numbers.forEach((number, index) => {
    writeUint32(frame, HTTP2_HEAD_BYTES + 4 * index, number);
  });
  return frame;
}

/** A frame of that payload, which is copied. */
export function encodeHttp2Frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(HTTP2_HEAD_BYTES + payload.length);
  writeHttp2Head(frame, 0, payload.length, type, flags, stream);
  frame.set(payload, HTTP2_HEAD_BYTES);
  return frame;
}

/** The payload of DATA or HEADERS without padding and the `before` bytes of priority (RFC 9113 sections 6.1 and 6.2). Throws Http2Error for more padding than there is. */
export function unpadded(flags: number, payload: Buffer, before: number): Buffer {
  const isPadded = (flags & FrameFlag.padded) !== 0;
  if (!isPadded && before === 0) return payload;
  const from = before + (isPadded ? 1 : 0);
  const to = payload.length - (isPadded ? (payload[0] ?? 0) : 0);
  if (from > to) throw new Http2Error('padding is longer than its frame');
  return payload.subarray(from, to);
}

export function encodeHttp2Settings(settings: readonly (readonly [id: number, value: number])[]): Buffer {
  const frame = Buffer.allocUnsafe(HTTP2_HEAD_BYTES + 6 * settings.length);
  writeHttp2Head(frame, 0, 6 * settings.length, FrameType.settings, 0, 0);
  settings.forEach(([id, value], index) => {
    const at = HTTP2_HEAD_BYTES + 6 * index;
    frame[at] = id >>> 8;
    frame[at + 1] = id;
    writeUint32(frame, at + 2, value);
  });
  return frame;
}

function writeUint32(target: Uint8Array, at: number, value: number): void {
  target[at] = value >>> 24;
  target[at + 1] = value >>> 16;
  target[at + 2] = value >>> 8;
  target[at + 3] = value;
}

/** Unsigned. */
export function readUint32(bytes: Uint8Array, at: number): number {
  return (((bytes[at] ?? 0) << 24) | ((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0)) >>> 0;
}

/** `payload` is a view of what was read and stays as it is. */
export type TakeHttp2Frame = (type: number, flags: number, stream: number, payload: Buffer) => void;

/**
 * Cuts a byte stream into frames. Chunks belong to the reader from `push` on: payloads are views of them, and only a frame that comes in pieces is copied.
 * `push` throws ServingError payload_too_large on a frame above the limit, which bounds what is kept.
 *
 * With `cutsData` no DATA is copied: of a frame in pieces each piece is given as a frame, END_STREAM with the last, which means the same. Padded ones stay whole.
 */
export class Http2FrameReader {
  readonly #maxBytes: number;
  readonly #cutsData: boolean;
  #partial: Buffer | undefined;
  #filled = 0;
  /** What is still to come of a DATA frame that is given in pieces. */
  #rest = 0;
  #restFlags = 0;
  #restStream = 0;

  constructor(maxBytes = HTTP2_FRAME_BYTES, cutsData = false) {
    this.#maxBytes = maxBytes;
    this.#cutsData = cutsData;
  }

  push(chunk: Buffer, take: TakeHttp2Frame): void {
    let at = this.#partial === undefined ? 0 : this.#fill(chunk, take);
    if (this.#rest > 0) at = this.#giveRest(chunk, at, take);
    while (chunk.length - at >= HTTP2_HEAD_BYTES) {
      const end = at + HTTP2_HEAD_BYTES + this.#length(chunk, at);
      if (end > chunk.length) {
        if (!this.#isCut(chunk, at)) break;
        this.#giveRest(chunk, this.#begin(chunk, at), take);
        return;
      }
      this.#give(chunk, at, end, take);
      at = end;
    }
    if (at < chunk.length) this.#keep(chunk, at);
  }

  #keep(chunk: Buffer, at: number): void {
    const has = chunk.length - at;
    const partial = Buffer.allocUnsafe(HTTP2_HEAD_BYTES + (has < HTTP2_HEAD_BYTES ? 0 : this.#length(chunk, at)));
    partial.set(chunk.subarray(at), 0);
    this.#partial = partial;
    this.#filled = has;
  }

  /** Completes the frame that came in pieces; returns how much of `chunk` it took. */
  #fill(chunk: Buffer, take: TakeHttp2Frame): number {
    let at = 0;
    for (let partial = this.#partial; partial !== undefined; partial = this.#partial) {
      const count = Math.min(partial.length - this.#filled, chunk.length - at);
      partial.set(count === chunk.length ? chunk : chunk.subarray(at, at + count), this.#filled);
      this.#filled += count;
      at += count;
      if (this.#filled < partial.length) return at;
      const length = this.#length(partial, 0);
      if (partial.length === HTTP2_HEAD_BYTES && length > 0) {
        // Only the head was known before.
        if (this.#isCut(partial, 0)) {
          this.#partial = undefined;
          this.#begin(partial, 0);
          return at;
        }
        this.#partial = Buffer.allocUnsafe(HTTP2_HEAD_BYTES + length);
        this.#partial.set(partial, 0);
        continue;
      }
      this.#partial = undefined;
      this.#give(partial, 0, partial.length, take);
    }
    return at;
  }

  #isCut(bytes: Buffer, at: number): boolean {
    return this.#cutsData && bytes[at + 3] === FrameType.data && ((bytes[at + 4] ?? 0) & FrameFlag.padded) === 0;
  }

  /** Returns where the payload begins. */
  #begin(bytes: Buffer, at: number): number {
    this.#rest = this.#length(bytes, at);
    this.#restFlags = bytes[at + 4] ?? 0;
    this.#restStream = readUint32(bytes, at + 5) & HTTP2_MAX;
    return at + HTTP2_HEAD_BYTES;
  }

  #giveRest(chunk: Buffer, at: number, take: TakeHttp2Frame): number {
    const end = Math.min(chunk.length, at + this.#rest);
    if (end === at) return at;
    this.#rest -= end - at;
    take(FrameType.data, this.#rest > 0 ? this.#restFlags & ~FrameFlag.endStream : this.#restFlags, this.#restStream, chunk.subarray(at, end));
    return end;
  }

  #give(bytes: Buffer, at: number, end: number, take: TakeHttp2Frame): void {
    const stream = readUint32(bytes, at + 5) & HTTP2_MAX;
    take(bytes[at + 3] ?? 0, bytes[at + 4] ?? 0, stream, bytes.subarray(at + HTTP2_HEAD_BYTES, end));
  }

  #length(bytes: Buffer, at: number): number {
    const length = ((bytes[at] ?? 0) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    if (length <= this.#maxBytes) return length;
    throw new ServingError('payload_too_large', `Cannot read HTTP/2 frame: expected at most ${this.#maxBytes} bytes, got ${length}`);
  }
}
