import type { InferRequest } from '../core/infer.ts';
import { allocateData, type Tensor } from '../core/tensor.ts';
import { readNumber } from './json/number.ts';
import { JsonReader } from './json/reader.ts';

/** Larger bodies gain little: their cost is that of their numbers. */
const MAX_PLAIN_BYTES = 16 * 1024;
const MAX_PLAIN_TENSORS = 16;
const MAX_PLAIN_RANK = 8;
/** Containers open at once in such a body: request, inputs, tensor, shape or data. */
const PLAIN_DEPTH = 4;
/** From here on a double rounds to the float32 infinity. */
const FP32_LIMIT = (2 - 2 ** -24) * 2 ** 127;

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

type PlainRequest = Pick<InferRequest, 'id' | 'inputs'>;

/**
 * Decodes the requests that most clients send without the price of pauses: small, in ASCII without escapes, with no fields but `id` and `inputs`, each input
 * with `name`, `datatype` FP32 or FP64, `shape` and then a flat list of numbers as `data`. Undefined for all others, right or wrong: the general decoder has
 * the word on them. It answers these just the same.
 */
export function decodePlainRequest(body: Uint8Array, maxDepth: number): PlainRequest | undefined {
  if (body.length > MAX_PLAIN_BYTES || maxDepth < PLAIN_DEPTH) return undefined;
  try {
    return new PlainDecoder(body).request();
  } catch {
    return undefined;
  }
}

/** Methods give undefined where the body is not plain. */
class PlainDecoder {
  readonly #reader: JsonReader;
  readonly #bytes: Uint8Array;
  readonly #text: string;

  constructor(bytes: Uint8Array) {
    this.#reader = new JsonReader(bytes, { what: 'request body', maxDepth: PLAIN_DEPTH });
    this.#bytes = bytes;
    this.#text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  }

  request(): PlainRequest | undefined {
    const reader = this.#reader;
    let id: string | undefined;
    let inputs: readonly Tensor[] | undefined;
    if (!reader.take(OPEN_OBJECT)) return undefined;
    do {
      const key = this.#string();
      if (key === undefined || !reader.take(COLON)) return undefined;
      if (key === 'inputs' && inputs === undefined) {
        inputs = this.#inputs();
        if (inputs === undefined) return undefined;
      } else if (key === 'id' && id === undefined) {
        id = this.#string();
        if (id === undefined) return undefined;
      } else return undefined;
    } while (reader.take(COMMA));
    if (inputs === undefined || !reader.take(CLOSE_OBJECT)) return undefined;
    reader.peek();
    if (reader.pos !== this.#bytes.length) return undefined;
    return id === undefined ? { inputs } : { id, inputs };
  }

  #inputs(): readonly Tensor[] | undefined {
    const reader = this.#reader;
    const inputs: Tensor[] = [];
    if (!reader.take(OPEN_LIST)) return undefined;
    do {
      const input = this.#input();
      if (input === undefined || inputs.length === MAX_PLAIN_TENSORS) return undefined;
      for (const { name } of inputs) if (name === input.name) return undefined;
      inputs.push(input);
    } while (reader.take(COMMA));
    return reader.take(CLOSE_LIST) ? inputs : undefined;
  }

  #input(): Tensor | undefined {
    const reader = this.#reader;
    let name: string | undefined;
    let datatype: string | undefined;
    let shape: readonly number[] | undefined;
    let data: Tensor['data'] | undefined;
    if (!reader.take(OPEN_OBJECT)) return undefined;
    do {
      const key = this.#string();
      if (key === undefined || !reader.take(COLON)) return undefined;
      if (key === 'name' && name === undefined) {
        name = this.#string();
        if (name === undefined) return undefined;
      } else if (key === 'datatype' && datatype === undefined) {
        datatype = this.#string();
        if (datatype !== 'FP32' && datatype !== 'FP64') return undefined;
      } else if (key === 'shape' && shape === undefined) {
        shape = this.#shape();
        if (shape === undefined) return undefined;
      } else if (key === 'data' && data === undefined && shape !== undefined && (datatype === 'FP32' || datatype === 'FP64')) {
        data = this.#data(datatype, shape);
        if (data === undefined) return undefined;
      } else return undefined;
    } while (reader.take(COMMA));
    if (!reader.take(CLOSE_OBJECT)) return undefined;
    if (name === undefined || shape === undefined || data === undefined || (datatype !== 'FP32' && datatype !== 'FP64')) return undefined;
    return { name, datatype, shape, data };
  }

  #shape(): readonly number[] | undefined {
    const reader = this.#reader;
    const shape: number[] = [];
    if (!reader.take(OPEN_LIST)) return undefined;
    do {
      const size = this.#number();
      if (shape.length === MAX_PLAIN_RANK || !Number.isInteger(size) || size < 1 || size > MAX_PLAIN_BYTES) return undefined;
      shape.push(size);
    } while (reader.take(COMMA));
    return reader.take(CLOSE_LIST) ? shape : undefined;
  }

  #data(datatype: 'FP32' | 'FP64', shape: readonly number[]): Tensor['data'] | undefined {
    const reader = this.#reader;
    let count = 1;
    for (const size of shape) count *= size;
    // Each element takes a byte and a comma.
    if (count > this.#bytes.length / 2 || !reader.take(OPEN_LIST)) return undefined;
    const data = datatype === 'FP32' ? takeFloats(count) : allocateData(datatype, count);
    const limit = datatype === 'FP32' ? FP32_LIMIT : Infinity;
    for (let index = 0; index < count; index++) {
      if (index > 0 && !reader.take(COMMA)) return undefined;
      const value = this.#number();
      if (!(value < limit && value > -limit)) return undefined;
      data[index] = value;
    }
    return reader.take(CLOSE_LIST) ? data : undefined;
  }

  /** NaN where no number stands. */
  #number(): number {
    const byte = this.#reader.peek();
    return byte === 0x2d || (byte >= 0x30 && byte <= 0x39) ? readNumber(this.#reader) : NaN;
  }

  /** A string of printable ASCII. */
  #string(): string | undefined {
    const reader = this.#reader;
    if (!reader.take(QUOTE)) return undefined;
    const bytes = this.#bytes;
    const start = reader.pos;
    let pos = start;
    for (;;) {
      const byte = bytes[pos] ?? 0;
      if (byte === QUOTE) break;
      // The backslash, control characters (so the end, too) and what is not ASCII.
      if (byte === 0x5c || byte < 0x20 || byte > 0x7e) return undefined;
      pos++;
    }
    reader.pos = pos + 1;
    return this.#text.slice(start, pos);
  }
}

/**
 * Small tensors share memory: making an ArrayBuffer costs as much as reading thirty numbers into it. None is used twice; core/release.ts frees no storage as
 * small as this.
 */
const SHARED_BYTES = 32 * 1024;
const MAX_SHARING_BYTES = 2 * 1024;
let shared = new ArrayBuffer(0);
let sharedUsed = 0;

function takeFloats(count: number): Float32Array {
  const bytes = count * 4;
  if (bytes > MAX_SHARING_BYTES) return allocateData('FP32', count);
  if (sharedUsed + bytes > shared.byteLength) {
    shared = new ArrayBuffer(SHARED_BYTES);
    sharedUsed = 0;
  }
  const floats = new Float32Array(shared, sharedUsed, count);
  sharedUsed += Math.ceil(bytes / 8) * 8;
  return floats;
}
