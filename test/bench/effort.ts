/** How much is measured; `--quick` shows that the benchmarks work and says little else. */
export interface BenchEffort {
  readonly rounds: number;
  /** Of load a round and server. */
  readonly seconds: number;
  /** Requests after which memory is looked at first, and last. */
  readonly memoryRequests: readonly [number, number];
}

export const FULL_EFFORT: BenchEffort = { rounds: 5, seconds: 5, memoryRequests: [2000, 20_000] };
export const QUICK_EFFORT: BenchEffort = { rounds: 1, seconds: 1, memoryRequests: [500, 2000] };
