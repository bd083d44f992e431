import { ServingError } from '../core/errors.ts';
import { takeBuffer } from '../core/release.ts';

/**
 * What parent and child of the process executor say to each other. Little-endian; every part of the body starts at a multiple of 8 bytes and the gaps are
 * zero, so that the receiver can view tensors in place. Large tensors follow without gaps: each is read into a buffer of its own, which one request owns.
 *
 *      0  u32  magic 0x4e46534b ("KSFN")
 *      4  u32  kind
 *      8  u32  model number, 0 when the frame is about the whole child
 *     12  u32  request number, 0 when the frame is about no run
 *     16  u32  bytes of JSON
 *     20  u32  bytes of the body
 *     24  u32  number of large tensors
 *     28  u32  zero
 *     32  body | u32 size of each large tensor | 0… | JSON | 0… | small tensor | 0… | small tensor | 0… |
 *         large tensor | large tensor | …
 */
export const HEAD_BYTES = 32;
const MAGIC = 0x4e46534b;

/** Most bytes of one frame behind its head; a length beyond is a corrupted frame. */
export const MAX_BODY_BYTES = 0x7fff_ffff;

/** Raise it when a frame changes its meaning: parent and child of different builds refuse each other. */
export const FRAME_PROTOCOL = 3;

export const FRAME_KINDS = ['hello', 'load', 'loaded', 'unload', 'unloaded', 'run', 'reply', 'error', 'cancel', 'log', 'stop'] as const;
export type FrameKind = (typeof FRAME_KINDS)[number];

export interface FrameHead {
  readonly kind: FrameKind;
  readonly model: number;
  readonly request: number;
}

/** A frame as received. `body` and `large` are ArrayBuffers of this frame alone and belong to who takes the frame. */
export interface Frame extends FrameHead {
  readonly metadata: unknown;
  readonly body: ArrayBuffer;
  /** Where the first small tensor starts in `body`. */
  readonly tensorsAt: number;
  /** Each filled by one tensor of more than `COPY_LIMIT` bytes; of `takeBuffer`. */
  readonly large: readonly ArrayBuffer[];
}

/** Bytes up to this size are copied behind their neighbours; larger ones are written from where they lie, and read to where they stay. */
export const COPY_LIMIT = 16_384;

/** One read takes as much at most, but for what is read to its place. */
const READ_BYTES = 65_536;

export function pad8(bytes: number): number {
  return Math.ceil(bytes / 8) * 8;
}

/**
 * The frame as chunks for one gathered write. `tensors` are not copied when large: they must stay untouched until written.
 * Throws ServingError payload_too_large when the frame would pass MAX_BODY_BYTES.
 */
export function encodeFrame(head: FrameHead, metadata: unknown, tensors: readonly Uint8Array[] = []): readonly Uint8Array[] {
  const json = JSON.stringify(metadata);
  const jsonBytes = Buffer.byteLength(json);
  const large = tensors.filter(({ byteLength }) => byteLength > COPY_LIMIT);
  const jsonAt = HEAD_BYTES + pad8(4 * large.length);
  let end = jsonAt + pad8(jsonBytes);
  let largeBytes = 0;
  for (const { byteLength } of tensors) {
    if (byteLength > COPY_LIMIT) largeBytes += byteLength;
    else end += pad8(byteLength);
  }
  if (end - HEAD_BYTES + largeBytes > MAX_BODY_BYTES) {
    const bytes = end - HEAD_BYTES + largeBytes;
    throw new ServingError('payload_too_large', `Cannot pass ${bytes} bytes to or from the model's process: at most ${MAX_BODY_BYTES} fit`);
  }
  const copied = Buffer.allocUnsafe(end);
  copied.writeUInt32LE(MAGIC, 0);
  copied.writeUInt32LE(FRAME_KINDS.indexOf(head.kind), 4);
  copied.writeUInt32LE(head.model, 8);
  copied.writeUInt32LE(head.request, 12);
  copied.writeUInt32LE(jsonBytes, 16);
  copied.writeUInt32LE(end - HEAD_BYTES, 20);
  copied.writeUInt32LE(large.length, 24);
  copied.fill(0, 28, jsonAt);
  large.forEach(({ byteLength }, i) => copied.writeUInt32LE(byteLength, HEAD_BYTES + 4 * i));
  copied.write(json, jsonAt, 'utf8');
  let at = jsonAt + pad8(jsonBytes);
  copied.fill(0, jsonAt + jsonBytes, at);
  for (const tensor of tensors) {
    if (tensor.byteLength > COPY_LIMIT) continue;
    copied.set(tensor, at);
    copied.fill(0, at + tensor.byteLength, at + pad8(tensor.byteLength));
    at += pad8(tensor.byteLength);
  }
  return [copied, ...large];
}

/**
 * Cuts a byte stream into frames. Who can choose where the next bytes go reads them to `room()` and says so with `filled`: large tensors then come without
 * a copy. Others give what they have to `push`. Both throw ServingError internal on a frame that cannot be: the stream is of no use then. Tensors are not
 * looked at here.
 */
export class FrameReader {
  readonly #take: (frame: Frame) => void;
  readonly #maxBodyBytes: number;
  readonly #head = Buffer.alloc(HEAD_BYTES);
  #headBytes = 0;
  #body: Uint8Array<ArrayBuffer> | undefined;
  #large: ArrayBuffer[] = [];
  /** What is being filled: the body, then one large tensor after the other. */
  #part: Uint8Array<ArrayBuffer> | undefined;
  #partBytes = 0;
  #nextLarge = 0;
  /** For bytes whose place is not known yet, or too small for a read of its own. */
  #stage: Uint8Array | undefined;

  constructor(take: (frame: Frame) => void, maxBodyBytes = MAX_BODY_BYTES) {
    this.#take = take;
    this.#maxBodyBytes = maxBodyBytes;
  }

  /** Where to read to; good until the next call of `filled`. */
  room(): Uint8Array {
    return this.#restOfPart() ?? (this.#stage ??= new Uint8Array(READ_BYTES));
  }

  /** `count` bytes have been read to `room`, which `room()` gave. */
  filled(count: number, room: Uint8Array): void {
    if (room === this.#stage) this.push(room.subarray(0, count));
    else this.#advance(count);
  }

  /** `chunk` is copied and may be used again afterwards. */
  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.byteLength) {
      if (this.#part === undefined) {
        const count = Math.min(HEAD_BYTES - this.#headBytes, chunk.byteLength - at);
        this.#head.set(chunk.subarray(at, at + count), this.#headBytes);
        this.#headBytes += count;
        at += count;
        if (this.#headBytes < HEAD_BYTES) return;
        this.#body = this.#startBody();
        this.#start(this.#body);
        continue;
      }
      const count = Math.min(this.#part.byteLength - this.#partBytes, chunk.byteLength - at);
      this.#part.set(at === 0 && count === chunk.byteLength ? chunk : chunk.subarray(at, at + count), this.#partBytes);
      at += count;
      this.#advance(count);
    }
  }

  /** Undefined where a read of its own does not pay. */
  #restOfPart(): Uint8Array | undefined {
    const part = this.#part;
    return part !== undefined && part.byteLength - this.#partBytes >= READ_BYTES ? part.subarray(this.#partBytes) : undefined;
  }

  #start(part: Uint8Array<ArrayBuffer>): void {
    this.#part = part;
    this.#partBytes = 0;
  }

  #advance(count: number): void {
    this.#partBytes += count;
    if (this.#part === undefined || this.#partBytes < this.#part.byteLength) return;
    if (this.#part === this.#body) this.#large = this.#startLarge(this.#body);
    const next = this.#large[this.#nextLarge++];
    if (next !== undefined) {
      this.#start(new Uint8Array(next));
      return;
    }
    const [body, large] = [this.#body, this.#large];
    this.#body = undefined;
    this.#part = undefined;
    this.#large = [];
    this.#nextLarge = 0;
    this.#headBytes = 0;
    if (body !== undefined) this.#take(this.#finish(body, large));
  }

  #startBody(): Uint8Array<ArrayBuffer> {
    const head = this.#head;
    const jsonBytes = head.readUInt32LE(16);
    const bodyBytes = head.readUInt32LE(20);
    if (head.readUInt32LE(0) !== MAGIC) throw corrupted('does not start with the magic number');
    if (head.readUInt32LE(4) >= FRAME_KINDS.length) throw corrupted(`kind ${head.readUInt32LE(4)} is unknown`);
    if (head.readUInt32LE(28) !== 0) throw corrupted('reserved bytes are set');
    this.#checkSize(bodyBytes);
    if (jsonBytes === 0 || bodyBytes % 8 !== 0 || this.#jsonAt() + pad8(jsonBytes) > bodyBytes) {
      throw corrupted(`${jsonBytes} bytes of JSON do not fit a body of ${bodyBytes}`);
    }
    return new Uint8Array(allocate(bodyBytes, (bytes) => new ArrayBuffer(bytes)));
  }

  #startLarge({ buffer, byteLength }: Uint8Array<ArrayBuffer>): ArrayBuffer[] {
    const count = this.#head.readUInt32LE(24);
    if (count === 0) return [];
    const sizes = new DataView(buffer);
    let bytes = byteLength;
    for (let i = 0; i < count; i++) {
      const size = sizes.getUint32(4 * i, true);
      if (size <= COPY_LIMIT) throw corrupted(`a large tensor of ${size} bytes`);
      bytes += size;
    }
    this.#checkSize(bytes);
    return Array.from({ length: count }, (_, i) => allocate(sizes.getUint32(4 * i, true), takeBuffer));
  }

  #checkSize(bytes: number): void {
    if (bytes > this.#maxBodyBytes) throw corrupted(`body of ${bytes} bytes is above the limit of ${this.#maxBodyBytes}`);
  }

  #jsonAt(): number {
    return pad8(4 * this.#head.readUInt32LE(24));
  }

  #finish({ buffer: body }: Uint8Array<ArrayBuffer>, large: readonly ArrayBuffer[]): Frame {
    const head = this.#head;
    const jsonAt = this.#jsonAt();
    const jsonBytes = head.readUInt32LE(16);
    const kind = FRAME_KINDS[head.readUInt32LE(4)];
    if (kind === undefined) throw corrupted('kind is unknown');
    let metadata: unknown;
    try {
      metadata = JSON.parse(Buffer.from(body, jsonAt, jsonBytes).toString('utf8'));
    } catch (cause) {
      throw corrupted('metadata is not JSON', cause);
    }
    const tensorsAt = jsonAt + pad8(jsonBytes);
    return { kind, model: head.readUInt32LE(8), request: head.readUInt32LE(12), metadata, body, tensorsAt, large };
  }
}

function allocate(bytes: number, make: (bytes: number) => ArrayBuffer): ArrayBuffer {
  try {
    return make(bytes);
  } catch (cause) {
    throw corrupted(`${bytes} bytes do not fit the memory`, cause);
  }
}

function corrupted(what: string, cause?: unknown): ServingError {
  return new ServingError('internal', `Cannot read frame: ${what}`, { cause });
}
