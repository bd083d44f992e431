export { createInlineExecutor } from './inline-executor.ts';
export { createProcessExecutor, type ProcessExecutorOptions, type RestartOptions } from './process-executor.ts';
export type * from './executor.ts';
