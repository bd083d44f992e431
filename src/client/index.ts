export { connect } from './connect.ts';
export { InferenceError, type InferenceErrorReason } from './inference-error.ts';
export { InferenceResponse } from './inference-response.ts';
export { tensor, type ElementsOf, type TensorOf } from './tensor.ts';
export type { CallOptions, ConnectOptions, Inference, InferenceClient, TlsFiles } from './client.ts';
export type { Datatype } from '../core/datatype.ts';
export type { Body, InferResponse, RequestedOutput } from '../core/infer.ts';
export type { ModelIndexEntry, ModelMetadata, ServerMetadata, TensorMetadata } from '../core/metadata.ts';
export type { BytesData, DataOf, Parameters, ParameterValue, Tensor } from '../core/tensor.ts';
