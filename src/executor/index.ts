export { createInlineExecutor } from './inline-executor.ts';
export type { EarlyChild } from './child-spawn.ts';
export { createProcessExecutor, startEarlyChild, type ProcessExecutorOptions, type RestartOptions } from './process-executor.ts';
export type * from './executor.ts';
