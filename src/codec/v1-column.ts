import { invalidRequest } from '../core/errors.ts';
import type { TensorMetadata } from '../core/metadata.ts';
import type { Steps } from '../core/steps.ts';
import { elementCount, formatShape, type Tensor } from '../core/tensor.ts';
import { ArrayWalker, UNKNOWN_SIZE } from './json/array-walker.ts';
import { quoteName } from './json/fields.ts';
import type { JsonReader } from './json/reader.ts';
import { createElementSink, mostElements } from './tensor-json-read.ts';
import type { ElementSink } from './tensor-json-sink.ts';

const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
/** Storage grows from here: how many elements come is not known before they are read. */
const FIRST_CAPACITY = 256;

/** Reads one input of a v1 request: as one value that is the whole tensor, or row by row. */
export class ColumnReader {
  /** Values read so far; rows, unless the tensor comes whole. */
  values = 0;
  readonly #reader: JsonReader;
  readonly #input: TensorMetadata;
  readonly #isWhole: boolean;
  readonly #what: string;
  readonly #walker: ArrayWalker;
  readonly #sink: ElementSink;

  /** `depth` containers are open around each value. */
  constructor(reader: JsonReader, input: TensorMetadata, options: { readonly isWhole: boolean; readonly depth: number }) {
    const { shape, datatype, name } = input;
    this.#reader = reader;
    this.#input = input;
    this.#isWhole = options.isWhole;
    this.#what = `input ${quoteName(name)}`;
    const rank = options.isWhole ? shape.length : shape.length - 1;
    this.#walker = new ArrayWalker(reader, this.#what, new Array<number>(rank).fill(UNKNOWN_SIZE), options.depth);
    this.#sink = createElementSink(datatype, Math.min(FIRST_CAPACITY, mostElements(reader)), { allowsBase64: true });
  }

  /** Begins the value at the cursor, and reads it when it is small; false when `readRest` is to go on. */
  tryReadValue(): boolean {
    if (this.values === 0) this.#checkNesting();
    this.values++;
    this.#walker.restart();
    return !this.#isWhole && this.#sink.tryRead(this.#walker);
  }

  *readRest(): Steps<void> {
    yield* this.#isWhole ? this.#sink.read(this.#walker) : this.#sink.readRest(this.#walker);
  }

  /** All values as one tensor. A size that empty lists leave open is the signature's. */
  finish(): Tensor {
    const { name, datatype, shape: published } = this.#input;
    const sizes = this.#isWhole ? this.#walker.sizes : [this.values, ...this.#walker.sizes];
    const shape = sizes.map((size, axis) => (size === UNKNOWN_SIZE ? (published[axis] ?? UNKNOWN_SIZE) : size));
    if (shape.includes(UNKNOWN_SIZE)) {
      throw invalidRequest(
        `Cannot decode ${this.#what}: expected elements that show the sizes of ${datatype} ${formatShape(published)}, got an empty list`,
      );
    }
    elementCount(shape, this.#what);
    return { name, datatype, shape, data: this.#sink.finish() };
  }

  /** The walker would find the same, but the commonest mistake, a row without its batch, deserves plain words. */
  #checkNesting(): void {
    const reader = this.#reader;
    const { datatype, shape } = this.#input;
    const expected = this.#walker.sizes.length;
    const start = reader.pos;
    let levels = 0;
    while (levels <= expected && reader.take(OPEN_LIST)) levels++;
    const isEmpty = levels > 0 && reader.peek() === CLOSE_LIST;
    reader.pos = start;
    if (levels === expected || (isEmpty && levels < expected)) return;
    const got = levels > expected ? 'more' : `${levels}`;
    const unit = this.#isWhole ? `${datatype} ${formatShape(shape)}` : `one row of ${datatype} ${formatShape(shape)}`;
    const hint = this.#isWhole && levels === expected - 1 ? '; a single row needs a list around it too' : '';
    throw invalidRequest(`Cannot decode ${this.#what}: expected lists nested ${expected} deep for ${unit}, got ${got}${hint}`);
  }
}
