import type { ServerStream } from './stream.ts';

/** Streams that were answered in full, until the kernel has their answers. */
export class Departures {
  /** Since the last write. */
  #leaving: ServerStream[] = [];
  /** Of each write that the kernel has not taken, in turn. */
  readonly #onTheWay: (readonly ServerStream[])[] = [];
  #count = 0;

  get count(): number {
    return this.#count;
  }

  add(stream: ServerStream): void {
    this.#leaving.push(stream);
    this.#count++;
  }

  /** All that was added went into one write. */
  written(): void {
    this.#onTheWay.push(this.#leaving);
    if (this.#leaving.length > 0) this.#leaving = [];
  }

  /** The kernel has the oldest write. */
  taken(): void {
    const streams = this.#onTheWay.shift() ?? [];
    this.#count -= streams.length;
    for (const stream of streams) stream.close(true);
  }

  /** The connection is gone. */
  drop(): void {
    for (const streams of [...this.#onTheWay, this.#leaving]) for (const stream of streams) stream.close(false);
    this.#onTheWay.length = 0;
    this.#leaving = [];
    this.#count = 0;
  }
}
