import { ServingError } from '../core/errors.ts';

/**
 * What parent and child of the process executor say to each other. Little-endian; every part starts at a multiple of 8 bytes from the frame's start
 * and the gaps are zero, so that the receiver can view tensors in place.
 *
 *      0  u32  magic 0x4e46534b ("KSFN")
 *      4  u32  kind
 *      8  u32  model number, 0 when the frame is about the whole child
 *     12  u32  request number, 0 when the frame is about no run
 *     16  u32  bytes of JSON
 *     20  u32  bytes of the body: all that follows this head
 *     24  u64  zero
 *     32  body | JSON | 0… | tensor 0 | 0… | tensor 1 | 0… |
 */
export const HEAD_BYTES = 32;
const MAGIC = 0x4e46534b;

/** Most bytes of one frame's body; a length beyond is a corrupted frame. */
export const MAX_BODY_BYTES = 0x7fff_ffff;

/** Raise it when a frame changes its meaning: parent and child of different builds refuse each other. */
export const FRAME_PROTOCOL = 2;

export const FRAME_KINDS = ['hello', 'load', 'loaded', 'unload', 'unloaded', 'run', 'reply', 'error', 'cancel', 'log', 'stop'] as const;
export type FrameKind = (typeof FRAME_KINDS)[number];

export interface FrameHead {
  readonly kind: FrameKind;
  readonly model: number;
  readonly request: number;
}

/** A frame as received. `body` is an ArrayBuffer of this frame alone and belongs to who takes the frame. */
export interface Frame extends FrameHead {
  readonly metadata: unknown;
  readonly body: ArrayBuffer;
  /** Where the first tensor starts in `body`. */
  readonly tensorsAt: number;
}

/** Bytes up to this size are copied behind their neighbours, larger ones are written from where they lie. */
const COPY_LIMIT = 16_384;

export function pad8(bytes: number): number {
  return Math.ceil(bytes / 8) * 8;
}

/**
 * The frame as chunks for one gathered write. `tensors` are not copied when large: they must stay untouched until written.
 * Throws ServingError payload_too_large when the body would pass MAX_BODY_BYTES.
 */
export function encodeFrame(head: FrameHead, metadata: unknown, tensors: readonly Uint8Array[] = []): readonly Uint8Array[] {
  const json = JSON.stringify(metadata);
  const jsonBytes = Buffer.byteLength(json);
  let bodyBytes = pad8(jsonBytes);
  let copiedBytes = HEAD_BYTES + bodyBytes;
  for (const tensor of tensors) {
    bodyBytes += pad8(tensor.byteLength);
    copiedBytes += tensor.byteLength > COPY_LIMIT ? pad8(tensor.byteLength) - tensor.byteLength : pad8(tensor.byteLength);
  }
  if (bodyBytes > MAX_BODY_BYTES) {
    throw new ServingError('payload_too_large', `Cannot pass ${bodyBytes} bytes to or from the model's process: at most ${MAX_BODY_BYTES} fit`);
  }
  const copied = Buffer.allocUnsafe(copiedBytes);
  copied.writeUInt32LE(MAGIC, 0);
  copied.writeUInt32LE(FRAME_KINDS.indexOf(head.kind), 4);
  copied.writeUInt32LE(head.model, 8);
  copied.writeUInt32LE(head.request, 12);
  copied.writeUInt32LE(jsonBytes, 16);
  copied.writeUInt32LE(bodyBytes, 20);
  copied.fill(0, 24, HEAD_BYTES);
  copied.write(json, HEAD_BYTES, 'utf8');
  copied.fill(0, HEAD_BYTES + jsonBytes, HEAD_BYTES + pad8(jsonBytes));
  return gather(copied, HEAD_BYTES + pad8(jsonBytes), tensors);
}

/** Lays `tensors` behind `copied[0 … at]`, small ones and gaps inside `copied`, large ones as chunks between its pieces. */
function gather(copied: Buffer, at: number, tensors: readonly Uint8Array[]): readonly Uint8Array[] {
  const chunks: Uint8Array[] = [];
  let pieceStart = 0;
  for (const tensor of tensors) {
    const gap = pad8(tensor.byteLength) - tensor.byteLength;
    if (tensor.byteLength > COPY_LIMIT) {
      if (at > pieceStart) chunks.push(copied.subarray(pieceStart, at));
      chunks.push(tensor);
      pieceStart = at;
    } else {
      copied.set(tensor, at);
      at += tensor.byteLength;
    }
    copied.fill(0, at, at + gap);
    at += gap;
  }
  if (at > pieceStart) chunks.push(copied.subarray(pieceStart, at));
  return chunks;
}

/**
 * Cuts a byte stream into frames, each read into one fresh ArrayBuffer. `push` throws ServingError internal on a frame that cannot be: the stream is
 * of no use then. Tensors are not looked at here.
 */
export class FrameReader {
  readonly #maxBodyBytes: number;
  readonly #head = Buffer.alloc(HEAD_BYTES);
  #headBytes = 0;
  #body: Uint8Array<ArrayBuffer> | undefined;
  #bodyBytes = 0;

  constructor(maxBodyBytes = MAX_BODY_BYTES) {
    this.#maxBodyBytes = maxBodyBytes;
  }

  /** `chunk` is copied and may be used again afterwards. */
  push(chunk: Uint8Array, take: (frame: Frame) => void): void {
    let at = 0;
    while (at < chunk.byteLength) {
      if (this.#body === undefined) {
        const count = Math.min(HEAD_BYTES - this.#headBytes, chunk.byteLength - at);
        this.#head.set(chunk.subarray(at, at + count), this.#headBytes);
        this.#headBytes += count;
        at += count;
        if (this.#headBytes < HEAD_BYTES) return;
        this.#body = this.#startBody();
        this.#bodyBytes = 0;
      }
      const count = Math.min(this.#body.byteLength - this.#bodyBytes, chunk.byteLength - at);
      this.#body.set(at === 0 && count === chunk.byteLength ? chunk : chunk.subarray(at, at + count), this.#bodyBytes);
      this.#bodyBytes += count;
      at += count;
      if (this.#bodyBytes === this.#body.byteLength) {
        const body = this.#body;
        this.#body = undefined;
        this.#headBytes = 0;
        take(this.#finish(body));
      }
    }
  }

  #startBody(): Uint8Array<ArrayBuffer> {
    const head = this.#head;
    const jsonBytes = head.readUInt32LE(16);
    const bodyBytes = head.readUInt32LE(20);
    if (head.readUInt32LE(0) !== MAGIC) throw corrupted('does not start with the magic number');
    if (head.readUInt32LE(4) >= FRAME_KINDS.length) throw corrupted(`kind ${head.readUInt32LE(4)} is unknown`);
    if (head.readUInt32LE(24) !== 0 || head.readUInt32LE(28) !== 0) throw corrupted('reserved bytes are set');
    if (bodyBytes > this.#maxBodyBytes) throw corrupted(`body of ${bodyBytes} bytes is above the limit of ${this.#maxBodyBytes}`);
    if (jsonBytes === 0 || bodyBytes % 8 !== 0 || pad8(jsonBytes) > bodyBytes) {
      throw corrupted(`${jsonBytes} bytes of JSON do not fit a body of ${bodyBytes}`);
    }
    try {
      return new Uint8Array(new ArrayBuffer(bodyBytes));
    } catch (cause) {
      throw corrupted(`body of ${bodyBytes} bytes does not fit the memory`, cause);
    }
  }

  #finish({ buffer: body }: Uint8Array<ArrayBuffer>): Frame {
    const head = this.#head;
    const jsonBytes = head.readUInt32LE(16);
    const kind = FRAME_KINDS[head.readUInt32LE(4)];
    if (kind === undefined) throw corrupted('kind is unknown');
    let metadata: unknown;
    try {
      metadata = JSON.parse(Buffer.from(body, 0, jsonBytes).toString('utf8'));
    } catch (cause) {
      throw corrupted('metadata is not JSON', cause);
    }
    return { kind, model: head.readUInt32LE(8), request: head.readUInt32LE(12), metadata, body, tensorsAt: pad8(jsonBytes) };
  }
}

function corrupted(what: string, cause?: unknown): ServingError {
  return new ServingError('internal', `Cannot read frame: ${what}`, { cause });
}
