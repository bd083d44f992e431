import { ErrorCode, FrameFlag, FrameType, Http2Error, HTTP2_PREFACE } from '../../codec/index.ts';

const PREFACE = Buffer.from(HTTP2_PREFACE, 'latin1');

/** Takes the client's first bytes off (RFC 9113 section 3.4). */
export class PrefaceReader {
  #read = 0;

  /** What follows the preface; undefined as long as nothing does. Throws Http2Error for anything else. */
  read(chunk: Buffer): Buffer | undefined {
    const count = Math.min(PREFACE.length - this.#read, chunk.length);
    if (count === 0) return chunk;
    if (chunk.compare(PREFACE, this.#read, this.#read + count, 0, count) !== 0) throw new Http2Error('the client does not speak HTTP/2');
    this.#read += count;
    return count < chunk.length ? chunk.subarray(count) : undefined;
  }
}

/** Of frames that have one length only. */
const LENGTHS: readonly (number | undefined)[] = sparse([
  [FrameType.priority, 5],
  [FrameType.resetStream, 4],
  [FrameType.ping, 8],
  [FrameType.windowUpdate, 4],
]);

/** Frames of the connection itself: 0; of streams: 1. WINDOW_UPDATE may be either, and nothing is known of others. */
const SIDES: readonly (number | undefined)[] = sparse([
  [FrameType.data, 1],
  [FrameType.headers, 1],
  [FrameType.priority, 1],
  [FrameType.resetStream, 1],
  [FrameType.settings, 0],
  [FrameType.ping, 0],
  [FrameType.goAway, 0],
  [FrameType.continuation, 1],
]);

/** What can be told of a frame by itself (RFC 9113 section 6). Throws Http2Error. */
export function checkFrame(type: number, flags: number, stream: number, payload: Uint8Array): void {
  const { length } = payload;
  const side = SIDES[type];
  if (side !== undefined && side !== Math.min(stream, 1)) throw new Http2Error(`a frame of type ${type} cannot be of stream ${stream}`);
  const expected = LENGTHS[type];
  if (expected !== undefined && length !== expected) throw wrongLength(type, length);
  switch (type) {
    case FrameType.settings:
      if (length % 6 !== 0 || ((flags & FrameFlag.ack) !== 0 && length > 0)) throw wrongLength(type, length);
      return;
    case FrameType.goAway:
      if (length < 8) throw wrongLength(type, length);
      return;
    case FrameType.headers:
      if (stream % 2 === 0) throw new Http2Error(`a client cannot open stream ${stream}`);
      return;
    case FrameType.pushPromise:
      throw new Http2Error('a client cannot push');
    default:
  }
}

function sparse(entries: readonly (readonly [type: number, value: number])[]): (number | undefined)[] {
  const values = Array.from<number | undefined>({ length: FrameType.continuation + 1 });
  for (const [type, value] of entries) values[type] = value;
  return values;
}

function wrongLength(type: number, length: number): Http2Error {
  return new Http2Error(`a frame of type ${type} cannot have ${length} bytes`, ErrorCode.frameSizeError);
}
