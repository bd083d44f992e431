export { checkInputs } from './check-inputs.ts';
export { checkOutputs } from './check-outputs.ts';
export { loadPipeline } from './load-pipeline.ts';
export type * from './pipeline.ts';
