import type { Datatype } from '../core/datatype.ts';
import { invalidRequest, type ServingError } from '../core/errors.ts';
import type { Steps } from '../core/steps.ts';
import { allocateData, type FixedSizeData, type TensorData } from '../core/tensor.ts';
import type { ArrayWalker } from './json/array-walker.ts';

/** Elements read between two pauses. */
export const BATCH_ELEMENTS = 2048;
const COPY_SLICE_ELEMENTS = 1 << 19;

/** Gathers the elements of one tensor from JSON, straight into storage of its datatype. */
export interface ElementSink {
  readonly length: number;
  /** Reads the value that `walker` walks, to its end; may be called for several values in a row. */
  read(walker: ArrayWalker): Steps<void>;
  /** For many small values in a row: reads one without the cost of a generator. False when it did not come to the value's end; `readRest` goes on then. */
  tryRead(walker: ArrayWalker): boolean;
  /** As `read`, and makes room, so that the next `tryRead` succeeds for a small value. */
  readRest(walker: ArrayWalker): Steps<void>;
  /** All elements read, in an ArrayBuffer of their own, which is exactly as long when the capacity given at first was right; the sink is done with. */
  finish(): TensorData;
}

/** The element's place and both states, e.g. `Cannot decode input "x": expected UINT8 (an integer from 0 to 255) for element 3, got 256`. */
export function elementError(what: string, index: number, expected: string, got: string): ServingError {
  return invalidRequest(`Cannot decode ${what}: expected ${expected} for element ${index}, got ${got.length > 40 ? `${got.slice(0, 40)}…` : got}`);
}

/** Batches of elements, kept in storage that grows by doubling, copied in slices. */
export abstract class BatchSink<B extends FixedSizeData> implements ElementSink {
  protected readonly batch: B;
  readonly #datatype: Exclude<Datatype, 'BYTES'>;
  #data: FixedSizeData;
  #length = 0;

  constructor(datatype: Exclude<Datatype, 'BYTES'>, capacity: number, createBatch: (length: number) => B) {
    this.#datatype = datatype;
    this.#data = allocateData(datatype, capacity);
    this.batch = createBatch(Math.min(Math.max(capacity, 16), BATCH_ELEMENTS));
  }

  get length(): number {
    return this.#length;
  }

  *read(walker: ArrayWalker): Steps<void> {
    for (;;) {
      const count = this.fillBatch(walker);
      if (count > this.#data.length - this.#length) yield* this.#grow(count);
      if (this.#store(count)) return;
      yield;
    }
  }

  tryRead(walker: ArrayWalker): boolean {
    return this.#data.length - this.#length >= this.batch.length && this.#store(this.fillBatch(walker));
  }

  *readRest(walker: ArrayWalker): Steps<void> {
    yield* this.read(walker);
    if (this.#data.length - this.#length < this.batch.length) yield* this.#grow(this.batch.length);
  }

  finish(): TensorData {
    return this.#length === this.#data.length ? this.#data : this.#data.subarray(0, this.#length);
  }

  /** Reads and checks elements until the batch is full or the value ends; returns how many. */
  protected abstract fillBatch(walker: ArrayWalker): number;

  /** Adds the batch's first `count` elements, for which there is room; true when the batch was not full, and so the last of its value. */
  #store(count: number): boolean {
    this.#data.set(this.batch.subarray(0, count) as never, this.#length);
    this.#length += count;
    return count < this.batch.length;
  }

  *#grow(extra: number): Steps<void> {
    const old = this.#data;
    const grown = allocateData(this.#datatype, Math.max(old.length * 2, this.#length + extra));
    for (let from = 0; from < this.#length; from += COPY_SLICE_ELEMENTS) {
      grown.set(old.subarray(from, Math.min(from + COPY_SLICE_ELEMENTS, this.#length)) as never, from);
      yield;
    }
    this.#data = grown;
  }
}
