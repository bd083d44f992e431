import type { InferResponse } from '../core/infer.ts';
import { dataLength, isBytesData, viewData, type Tensor } from '../core/tensor.ts';

/** What an answer takes beside its tensors, about. */
const ENTRY_BYTES = 1024;

interface Entry {
  readonly response: InferResponse;
  readonly bytes: number;
  readonly storedAt: number;
}

/** Answers of one model by the digests of their requests: the least recently used go first. Owns what it keeps. */
export class AnswerStore {
  readonly #maxBytes: number;
  readonly #ttlMs: number;
  /** In the order of use: the first is next to go. */
  readonly #entries = new Map<string, Entry>();
  readonly #sized: (addedBytes: number) => void;
  #bytes = 0;
  #isClosed = false;

  /** `sized` hears of every change of the bytes kept. */
  constructor(options: { readonly maxBytes: number; readonly ttlMs: number }, sized: (addedBytes: number) => void) {
    this.#maxBytes = options.maxBytes;
    this.#ttlMs = options.ttlMs;
    this.#sized = sized;
  }

  /** To be read only. */
  find(digest: string, now: number): InferResponse | undefined {
    const entry = this.#entries.get(digest);
    if (entry === undefined) return undefined;
    this.#entries.delete(digest);
    if (now - entry.storedAt >= this.#ttlMs) {
      this.#resize(-entry.bytes);
      return undefined;
    }
    this.#entries.set(digest, entry);
    return entry.response;
  }

  /** Keeps a copy; an answer larger than everything that may be kept is not. */
  keep(digest: string, response: InferResponse, now: number): void {
    const bytes = bytesOf(response);
    if (this.#isClosed || bytes > this.#maxBytes) return;
    this.#drop(digest);
    for (const [oldest] of this.#entries) {
      if (this.#bytes + bytes <= this.#maxBytes) break;
      this.#drop(oldest);
    }
    this.#entries.set(digest, { response: ownedResponse(response), bytes, storedAt: now });
    this.#resize(bytes);
  }

  /** Lets everything go, and keeps nothing from now on. */
  close(): void {
    this.#isClosed = true;
    this.#entries.clear();
    this.#resize(-this.#bytes);
  }

  #drop(digest: string): void {
    const entry = this.#entries.get(digest);
    if (entry === undefined) return;
    this.#entries.delete(digest);
    this.#resize(-entry.bytes);
  }

  #resize(addedBytes: number): void {
    this.#bytes += addedBytes;
    this.#sized(addedBytes);
  }
}

function bytesOf({ outputs, body }: InferResponse): number {
  let bytes = ENTRY_BYTES + (body?.bytes.byteLength ?? 0);
  for (const { data } of outputs) bytes += isBytesData(data) ? data.bytes.byteLength + data.offsets.byteLength : data.byteLength;
  return bytes;
}

/** Rows of a batch are views of its memory, and memory of large tensors is given back after their answer: what is kept has its own. */
function ownedResponse(response: InferResponse): InferResponse {
  const { body, outputs } = response;
  const owned = { ...response, outputs: outputs.map(ownedTensor) };
  return body === undefined ? owned : { ...owned, body: { ...body, bytes: new Uint8Array(body.bytes) } };
}

function ownedTensor(tensor: Tensor): Tensor {
  const { data, datatype } = tensor;
  if (isBytesData(data)) return { ...tensor, data: { bytes: new Uint8Array(data.bytes), offsets: new Uint32Array(data.offsets) } };
  if (datatype === 'BYTES') return tensor;
  const { buffer } = new Uint8Array(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  return { ...tensor, data: viewData(datatype, buffer, 0, dataLength(data)) };
}
