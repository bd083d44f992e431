export { checkInputs } from './check-inputs.ts';
export { checkOutputs } from './check-outputs.ts';
export { loadPipeline } from './load-pipeline.ts';
export { attributeRejection } from './running-request.ts';
export type { NextModel } from './next-model.ts';
export type * from './pipeline.ts';
export type { RowBatching } from './row-runs.ts';
