import type { Pointer } from './library.ts';

type Release = (pointer: Pointer) => unknown;

const counts = { created: 0, released: 0 };

/** Native objects that this process has taken over and given back; tests compare the two. */
export function handleCounts(): { readonly created: number; readonly released: number } {
  return { ...counts };
}

/** Native objects that nobody has given back yet. */
export function liveHandles(): number {
  return counts.created - counts.released;
}

/**
 * Owner of native objects: what is handed to `own` is released exactly once, by `releaseAll`, the youngest first. Usable again afterwards.
 * Create an object and own it in one expression, so that no error can come between.
 */
export class Handles {
  readonly #pointers: Pointer[] = [];
  readonly #releases: Release[] = [];

  own(pointer: Pointer, release: Release): Pointer {
    counts.created++;
    this.#pointers.push(pointer);
    this.#releases.push(release);
    return pointer;
  }

  releaseAll(): void {
    for (;;) {
      const pointer = this.#pointers.pop();
      const release = this.#releases.pop();
      if (pointer === undefined || release === undefined) return;
      counts.released++;
      release(pointer);
    }
  }
}

/** Runs `use` with an owner of its own and releases everything it owned, whatever happens. */
export function withHandles<T>(use: (handles: Handles) => T): T {
  const handles = new Handles();
  try {
    return use(handles);
  } finally {
    handles.releaseAll();
  }
}
