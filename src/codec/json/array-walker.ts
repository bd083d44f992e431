import { invalidRequest } from '../../core/errors.ts';
import { formatShape } from '../../core/tensor.ts';
import type { JsonReader } from './reader.ts';

const OPEN = 0x5b;
const CLOSE = 0x5d;
const COMMA = 0x2c;

/** A size not known yet: the first list of that level sets it. */
export const UNKNOWN_SIZE = -1;

/**
 * Walks the elements of nested lists, one level per entry of `sizes`, and makes sure that every list has the size of its level (`[[1,2],[3]]` is refused).
 * No entries: one bare value. The caller reads each element where `next` has put the cursor.
 */
export class ArrayWalker {
  readonly reader: JsonReader;
  /** Names the tensor in messages, e.g. `input "x"`. */
  readonly what: string;
  /** Elements per list by level, outermost first; unknown ones are filled in. */
  readonly sizes: number[];
  /** Values seen so far in the open list of each level. */
  readonly #seen: number[];
  /** Lists open now. */
  #depth = 0;
  #isAfterValue = false;

  constructor(reader: JsonReader, what: string, sizes: number[], outerDepth: number) {
    this.reader = reader;
    this.what = what;
    this.sizes = sizes;
    this.#seen = sizes.map(() => 0);
    reader.checkDepth(outerDepth + sizes.length);
  }

  /** Makes ready for another value of the same sizes. */
  restart(): void {
    this.#depth = 0;
    this.#isAfterValue = false;
  }

  /** Puts the cursor on the first byte of the next element; false when the value has ended. */
  next(): boolean {
    const reader = this.reader;
    const rank = this.sizes.length;
    if (this.#isAfterValue && this.#depth === rank && rank > 0) {
      // By far the commonest case: a comma and the next element right behind it.
      const { bytes, pos } = reader;
      if (bytes[pos] === COMMA) {
        const byte = bytes[pos + 1] ?? 0;
        if (byte > 0x20 && byte < OPEN) {
          reader.pos = pos + 1;
          this.#seen[rank - 1] = (this.#seen[rank - 1] ?? 0) + 1;
          return true;
        }
      }
    }
    for (;;) {
      const depth = this.#depth;
      let byte = 0;
      if (this.#isAfterValue) {
        if (depth === 0) return false;
        byte = reader.peek();
        if (byte === CLOSE) {
          reader.pos++;
          this.#closeList();
          continue;
        }
        if (byte !== COMMA) reader.fail('"," or "]"');
        reader.pos++;
        byte = reader.peek();
        if (byte === CLOSE) reader.fail('a value');
      } else {
        byte = reader.peek();
        if (byte === CLOSE && depth > 0) {
          reader.pos++;
          this.#closeList();
          continue;
        }
      }
      if (depth > 0) this.#seen[depth - 1] = (this.#seen[depth - 1] ?? 0) + 1;
      if (depth === rank) {
        if (byte === OPEN) throw this.#disagreement('a value', 'a list');
        this.#isAfterValue = true;
        return true;
      }
      if (byte !== OPEN) throw this.#disagreement('a list', reader.describeNext());
      reader.pos++;
      this.#seen[depth] = 0;
      this.#depth = depth + 1;
      this.#isAfterValue = false;
    }
  }

  #closeList(): void {
    const level = this.#depth - 1;
    const seen = this.#seen[level] ?? 0;
    if (this.sizes[level] === UNKNOWN_SIZE) this.sizes[level] = seen;
    else if (this.sizes[level] !== seen) throw this.#disagreement(`a list of ${this.sizes[level] ?? 0}`, `${seen}`);
    this.#depth = level;
    this.#isAfterValue = true;
  }

  #disagreement(expected: string, got: string): Error {
    const path = this.#seen.slice(0, Math.min(this.#depth, 8)).map((seen) => `[${Math.max(seen - 1, 0)}]`);
    const shape = this.sizes.includes(UNKNOWN_SIZE)
      ? `${this.sizes.length} levels of lists of equal sizes`
      : `lists nested as ${formatShape(this.sizes)}`;
    return invalidRequest(`Cannot decode ${this.what}: expected ${shape}, at element ${path.join('') || '[]'} ${expected}, got ${got}`);
  }
}
