/** Runs a part while nothing else is to run on the machine. */
export type Hold = <T>(part: () => Promise<T>) => Promise<T>;

/** How much is measured; `--quick` shows that the benchmarks work and says little else. */
export interface BenchEffort {
  readonly rounds: number;
  /** Of load a round and server. */
  readonly seconds: number;
  /** Requests after which memory is looked at first, and last. */
  readonly memoryRequests: readonly [number, number];
  /** The same for the long look. */
  readonly soakRequests: readonly [number, number];
  /** Each round of cases that compare servers runs in it. */
  readonly hold: Hold;
}

const atOnce: Hold = (part) => part();

export const FULL_EFFORT: BenchEffort = {
  rounds: 5,
  seconds: 5,
  memoryRequests: [2000, 20_000],
  soakRequests: [20_000, 200_000],
  hold: atOnce,
};
export const QUICK_EFFORT: BenchEffort = { rounds: 1, seconds: 1, memoryRequests: [500, 2000], soakRequests: [1000, 5000], hold: atOnce };
