import { releaseBuffer, takeTail } from '../../core/release.ts';
import { borrowLanding, returnLanding } from './landing.ts';

/**
 * Collects the chunks of a body in one buffer. A body that comes in one chunk with a buffer of its own is taken as it is; anything else is copied once,
 * so that many tiny chunks cost no more memory than their bytes.
 */
export class ByteSink {
  #only: Uint8Array | undefined;
  #buffer: Uint8Array | undefined;
  #length = 0;
  #hasLanding = false;
  readonly #expectedLength: number | undefined;
  readonly #mayBorrow: boolean;

  /**
   * `expectedLength`: bytes to come, when known; the buffer is made when the first two chunks are there, never on a promise alone. `mayBorrow`: the owner will call
   * `release`, and large bodies may lie in storage that others use afterwards.
   */
  constructor(expectedLength: number | undefined, mayBorrow: boolean) {
    this.#expectedLength = expectedLength;
    this.#mayBorrow = mayBorrow;
  }

  get length(): number {
    return this.#length;
  }

  /** True when the bytes were copied: the sink needs `chunk` no longer. */
  append(chunk: Uint8Array): boolean {
    const start = this.#length;
    this.#length += chunk.byteLength;
    if (start === 0) {
      this.#only = chunk;
      return false;
    }
    const buffer = this.#reserve(start);
    if (this.#only !== undefined) buffer.set(this.#only, 0);
    this.#only = undefined;
    buffer.set(chunk, start);
    return true;
  }

  /** All bytes, in a buffer that nothing else refers to, until `release` when that was promised. */
  take(): Uint8Array {
    const { length } = this;
    let bytes: Uint8Array;
    if (this.#only !== undefined) bytes = ownsItsBuffer(this.#only) ? this.#only : new Uint8Array(this.#only);
    else bytes = this.#buffer === undefined ? new Uint8Array(0) : this.#buffer.subarray(0, length);
    if (!this.#mayBorrow) this.#forget();
    return bytes;
  }

  /** Gives the memory of all bytes back. */
  release(): void {
    this.#giveBack();
    this.#forget();
  }

  #forget(): void {
    this.#only = undefined;
    this.#buffer = undefined;
    this.#hasLanding = false;
    this.#length = 0;
  }

  /** Room for all bytes, of which `filled` are there. */
  #reserve(filled: number): Uint8Array {
    const { length } = this;
    const current = this.#buffer;
    if (current === undefined) {
      const capacity = Math.max(this.#expectedLength ?? 0, length);
      const landing = this.#mayBorrow ? borrowLanding(capacity) : undefined;
      this.#hasLanding = landing !== undefined;
      return (this.#buffer = landing ?? takeTail(capacity));
    }
    if (current.byteLength >= length) return current;
    const grown = takeTail(Math.max(length, current.byteLength * 2));
    grown.set(current.subarray(0, filled));
    this.#giveBack();
    return (this.#buffer = grown);
  }

  #giveBack(): void {
    if (this.#hasLanding) returnLanding();
    else if (this.#buffer !== undefined) releaseBuffer(this.#buffer.buffer);
    this.#hasLanding = false;
  }
}

/** False for slices of Node's shared pool. */
export function ownsItsBuffer(chunk: Uint8Array): boolean {
  return chunk.byteOffset === 0 && chunk.buffer.byteLength === chunk.byteLength;
}
