export { BENCH_SECTIONS } from './options.ts';
export { readPlan, type BenchPlan } from './plan.ts';
export type { Progress } from './measurement.ts';
export { cpuMs, rssMiB, treeOf } from './process-tree.ts';
export { renderHtml } from './render-html.ts';
export { renderJson } from './render-json.ts';
export { renderResult } from './render-table.ts';
export { runBench, type BenchResult } from './run-bench.ts';
