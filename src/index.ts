export { startServer, type RunningServer, type ServerDependencies } from './server.ts';
export { loadSettings, type LoadedSettings, type Settings } from './settings.ts';
export { ServingError, isServingError, type ErrorReason } from './core/errors.ts';
export type { Datatype } from './core/datatype.ts';
export type { InferRequest, InferResponse, RequestedOutput } from './core/infer.ts';
export type { ModelMetadata, Signature, TensorMetadata } from './core/metadata.ts';
export type { BytesData, Parameters, ParameterValue, Tensor, TensorData } from './core/tensor.ts';
