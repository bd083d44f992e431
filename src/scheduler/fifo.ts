/** Links of an item inside the list that holds it; an item is in one list at a time and nobody but the list writes them. */
export interface FifoLinks<T> {
  previous: T | undefined;
  next: T | undefined;
}

/**
 * First in, first out, with the links inside the items: push, shift and removal from the middle take constant time and allocate nothing.
 *
 *     first ─▶ item ⇄ item ⇄ item ◀─ last
 */
export class Fifo<T extends FifoLinks<T>> {
  #first: T | undefined;
  #last: T | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get first(): T | undefined {
    return this.#first;
  }

  push(item: T): void {
    item.previous = this.#last;
    item.next = undefined;
    if (this.#last === undefined) this.#first = item;
    else this.#last.next = item;
    this.#last = item;
    this.#size++;
  }

  shift(): T | undefined {
    const item = this.#first;
    if (item !== undefined) this.remove(item);
    return item;
  }

  /** `item` must be in this list. */
  remove(item: T): void {
    if (item.previous === undefined) this.#first = item.next;
    else item.previous.next = item.next;
    if (item.next === undefined) this.#last = item.previous;
    else item.next.previous = item.previous;
    item.previous = undefined;
    item.next = undefined;
    this.#size--;
  }
}
