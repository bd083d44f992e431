import type { Steps } from '../core/steps.ts';
import { createRandom, type Random } from '../core/random.ts';

/**
 * Sets of players (features that keep their value), as bits: player p of set i is bit p % 32 of words[i * wordsEach + floor(p / 32)]. Neither the empty set nor
 * the full one is among them. Weights are those of the Shapley kernel, as far as the sets were chosen for it.
 */
export interface Coalitions {
  readonly count: number;
  readonly wordsEach: number;
  readonly words: Uint32Array;
  readonly weights: Float64Array;
  /** All that there are: values computed from them are exact. */
  readonly isComplete: boolean;
}

/** How many sets there are besides the empty and the full one. */
export function countCoalitions(players: number): number {
  return Math.max(0, 2 ** players - 2);
}

/**
 * The sets that tell most, by the scheme of `shap.KernelExplainer`: sizes are taken whole as long as the samples allow, from the outside (1 and all but 1)
 * inwards, because those have most weight; what is left goes to random sets of the other sizes, each with its complement. The same seed gives the same sets.
 * With `samples >= countCoalitions(players)` all of them.
 */
export function* chooseCoalitions(players: number, samples: number, seed: number): Steps<Coalitions> {
  const capacity = Math.min(samples, countCoalitions(players));
  const list = new CoalitionList(players, capacity);
  const sizes = sizeWeights(players);
  let wholeSizes = 0;
  let weightLeft = 1;
  for (const { size, weight, isPaired } of sizes) {
    const subsets = choose(players, size) * (isPaired ? 2 : 1);
    if (((capacity - list.count) * weight) / weightLeft / subsets < 1 - 1e-8) break;
    yield* addWhole(list, size, isPaired, weight / subsets);
    wholeSizes++;
    weightLeft -= weight;
  }
  const rest = sizes.slice(wholeSizes);
  if (rest.length > 0) yield* addRandom(list, rest, createRandom(seed));
  return list.finish(rest.length === 0);
}

interface SizeWeight {
  readonly size: number;
  /** Share of this size, and of its complement when paired, in the sum of all. */
  readonly weight: number;
  /** Sets of the complementary size are another size. */
  readonly isPaired: boolean;
}

function sizeWeights(players: number): SizeWeight[] {
  const sizes: { size: number; weight: number; isPaired: boolean }[] = [];
  for (let size = 1; size <= players / 2; size++) {
    const isPaired = size * 2 !== players;
    sizes.push({ size, weight: ((players - 1) / (size * (players - size))) * (isPaired ? 2 : 1), isPaired });
  }
  const sum = sizes.reduce((total, { weight }) => total + weight, 0);
  return sizes.map((entry) => ({ ...entry, weight: entry.weight / sum }));
}

/** Counts stay finite only where they are compared with a number of samples. */
function choose(n: number, k: number): number {
  let count = 1;
  for (let i = 1; i <= k; i++) count = (count * (n - k + i)) / i;
  return Math.round(count);
}

function* addWhole(list: CoalitionList, size: number, isPaired: boolean, weight: number): Steps<void> {
  const members = Uint32Array.from({ length: size }, (_, i) => i);
  for (;;) {
    list.add(members, weight);
    if (isPaired) list.addComplement(weight);
    yield;
    // The next combination in lexical order: the last member that can move on does, and those behind it follow close.
    let at = size - 1;
    while (at >= 0 && members[at] === list.players - size + at) at--;
    if (at < 0) return;
    let member = (members[at] ?? 0) + 1;
    for (; at < size; at++) members[at] = member++;
  }
}

/** Draws per sample at most: where few sets are left, most draws are sets seen before. */
const MAX_DRAWS_PER_SAMPLE = 4;

function* addRandom(list: CoalitionList, sizes: readonly SizeWeight[], random: Random): Steps<void> {
  const first = list.count;
  // Each draw of a paired size gives two sets.
  const shares = sizes.map(({ weight, isPaired }) => (isPaired ? weight / 2 : weight));
  const sumOfShares = shares.reduce((total, share) => total + share, 0);
  const seen = new Map<string, number>();
  const order = Uint32Array.from({ length: list.players }, (_, i) => i);
  const maxDraws = MAX_DRAWS_PER_SAMPLE * (list.capacity - first);
  for (let draw = 0; draw < maxDraws && list.count < list.capacity; draw++) {
    const picked = sizes[pick(shares, random() * sumOfShares)];
    if (picked === undefined) continue;
    const key = list.keyOf(drawMembers(order, picked.size, random));
    const known = seen.get(key);
    if (known === undefined) {
      seen.set(key, list.count);
      list.add(order.subarray(0, picked.size), 1);
      if (picked.isPaired && list.count < list.capacity) list.addComplement(1);
    } else {
      list.increase(known);
      // Its complement, where there was room for it, came right behind it.
      if (picked.isPaired && known + 1 < list.count) list.increase(known + 1);
    }
    yield;
  }
  list.scale(
    first,
    sizes.reduce((total, { weight }) => total + weight, 0),
  );
}

function pick(shares: readonly number[], at: number): number {
  let index = 0;
  let left = at - (shares[0] ?? 0);
  while (left >= 0 && index < shares.length - 1) left -= shares[++index] ?? 0;
  return index;
}

/** Moves `size` random players to the front. */
function drawMembers(order: Uint32Array, size: number, random: Random): Uint32Array {
  for (let i = 0; i < size; i++) {
    const other = i + Math.floor(random() * (order.length - i));
    const member = order[other] ?? 0;
    order[other] = order[i] ?? 0;
    order[i] = member;
  }
  return order.subarray(0, size);
}

class CoalitionList {
  readonly players: number;
  readonly capacity: number;
  readonly #wordsEach: number;
  readonly #words: Uint32Array;
  readonly #weights: Float64Array;
  #count = 0;

  constructor(players: number, capacity: number) {
    this.players = players;
    this.capacity = capacity;
    this.#wordsEach = Math.ceil(players / 32);
    this.#words = new Uint32Array(capacity * this.#wordsEach);
    this.#weights = new Float64Array(capacity);
  }

  get count(): number {
    return this.#count;
  }

  add(members: Uint32Array, weight: number): void {
    this.#mark(members, this.#words, this.#count * this.#wordsEach);
    this.#weights[this.#count++] = weight;
  }

  /** Of the set added last. */
  addComplement(weight: number): void {
    const to = this.#count * this.#wordsEach;
    for (let i = 0; i < this.#wordsEach; i++) {
      const bits = Math.min(32, this.players - i * 32);
      this.#words[to + i] = ~(this.#words[to + i - this.#wordsEach] ?? 0) & (2 ** bits - 1);
    }
    this.#weights[this.#count++] = weight;
  }

  increase(index: number): void {
    this.#weights[index] = (this.#weights[index] ?? 0) + 1;
  }

  /** Makes the weights from `first` on sum up to `sum`. */
  scale(first: number, sum: number): void {
    let current = 0;
    for (let i = first; i < this.#count; i++) current += this.#weights[i] ?? 0;
    for (let i = first; i < this.#count; i++) this.#weights[i] = ((this.#weights[i] ?? 0) * sum) / current;
  }

  keyOf(members: Uint32Array): string {
    const words = new Uint32Array(this.#wordsEach);
    this.#mark(members, words, 0);
    return String.fromCharCode(...new Uint16Array(words.buffer));
  }

  finish(isComplete: boolean): Coalitions {
    return { count: this.#count, wordsEach: this.#wordsEach, words: this.#words, weights: this.#weights, isComplete };
  }

  #mark(members: Uint32Array, words: Uint32Array, from: number): void {
    for (let i = 0; i < members.length; i++) {
      const player = members[i] ?? 0;
      words[from + (player >>> 5)] = (words[from + (player >>> 5)] ?? 0) | (1 << (player & 31));
    }
  }
}
