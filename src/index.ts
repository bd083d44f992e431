/** What handlers import. Light: a child process that runs one loads no server for it. */
export { defineHandler, HandlerRequest, HandlerResponse, InvalidRequest, reply, tensor } from './handler/index.ts';
export type {
  Answer,
  ClientFault,
  DefinedHandler,
  Handler,
  HandlerContext,
  HandlerCounter,
  HandlerHistogram,
  LoadContext,
  ModelTypes,
  NamedTensor,
  Next,
  Predict,
  Preprocessed,
  ReplyInit,
  RequestInit,
  ResponseInit,
  TensorsOf,
} from './handler/index.ts';
export { ServingError, isServingError, type ErrorReason } from './core/errors.ts';
export type { Logger } from './core/context.ts';
export type { Datatype } from './core/datatype.ts';
export type { Body, InferRequest, InferResponse, RequestedOutput } from './core/infer.ts';
export type { ModelMetadata, Signature, TensorMetadata } from './core/metadata.ts';
export type { BytesData, DataOf, Parameters, ParameterValue, Tensor, TensorData } from './core/tensor.ts';
