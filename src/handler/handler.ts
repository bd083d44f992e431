import type { Logger } from '../core/context.ts';
import type { ModelMetadata, TensorMetadata } from '../core/metadata.ts';
import type { Parameters, Tensor } from '../core/tensor.ts';
import type { HandlerRequest } from './handler-request.ts';
import type { HandlerResponse } from './handler-response.ts';
import type { ModelTypes, TensorsOf } from './model-types.ts';
import type { ReplyInit } from './reply.ts';

export type { ModelTypes, TensorsOf } from './model-types.ts';
export type { ReplyInit } from './reply.ts';

/** What a method may return to go on with: tensors, alone or with parameters. */
export interface RequestInit<Input extends Tensor = Tensor> {
  readonly inputs: readonly Input[];
  /** Names of the outputs to compute; absent: all, or those that the client asked for where nothing comes after the model. */
  readonly outputs?: readonly string[];
  readonly parameters?: Parameters;
}

export interface ResponseInit<Output extends Tensor = Tensor> {
  readonly outputs: readonly Output[];
  readonly parameters?: Parameters;
}

type Awaitable<T> = T | Promise<T>;

/** Parts are put together: tensors of one name along their first dimension, bodies one behind the other. */
export type Answer<Output extends Tensor = Tensor> =
  | Awaitable<ResponseInit<Output> | readonly Output[] | ReplyInit | HandlerResponse>
  | AsyncIterable<ResponseInit<Output> | readonly Output[] | ReplyInit>;

/** What handlers of one loaded model share. */
export interface LoadContext {
  readonly modelName: string;
  readonly modelVersion: string;
  /** The engine's metadata; undefined for a handler without a model file. */
  readonly model: Omit<ModelMetadata, 'name' | 'versions'> | undefined;
  /** Absolute path of the model's directory, of the handler's own when there is none. */
  readonly files: string;
  readonly log: Logger;
  /** A counter of one's own at `/metrics`. The name must be a Prometheus name; labels have few values. */
  readonly counter: (name: string, help: string) => HandlerCounter;
  /** A histogram of one's own at `/metrics`; `buckets` are upper bounds without +Inf. */
  readonly histogram: (name: string, help: string, buckets?: readonly number[]) => HandlerHistogram;
}

export interface HandlerCounter {
  /** `by` is 1 when absent; negative values are refused. */
  increment(labels?: Readonly<Record<string, string>>, by?: number): void;
}

export interface HandlerHistogram {
  observe(value: number, labels?: Readonly<Record<string, string>>): void;
}

/** What travels beside one request. */
export interface HandlerContext extends LoadContext {
  /** As in logs: the client's id, else its x-request-id header, else generated. */
  readonly requestId: string;
  readonly verb: 'infer' | 'explain';
  readonly protocol: 'v2-rest' | 'v2-grpc' | 'v1-rest';
  /** Request headers or gRPC metadata, names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** To be filled: sent as HTTP headers or gRPC metadata. Names of the transport's own (content-length, content-type …) are refused. */
  readonly responseHeaders: Record<string, string>;
  /** Aborts when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
  /** Milliseconds until the deadline; Infinity without one. */
  readonly remainingMs: () => number;
}

/** Runs the model, or the predictor elsewhere, on tensors of the model's own signature. */
export type Next<M extends ModelTypes = ModelTypes> = (
  request: RequestInit<TensorsOf<M['inputs']>> | readonly TensorsOf<M['inputs']>[] | HandlerRequest,
) => Promise<HandlerResponse<M>>;

/** What `preprocess` may return: tensors of the model's own signature, or nothing to leave the request as it is. */
export type Preprocessed<M extends ModelTypes = ModelTypes> =
  RequestInit<TensorsOf<M['inputs']>> | readonly TensorsOf<M['inputs']>[] | HandlerRequest | undefined;

/** A whole inference, as a client would ask for it: preprocess, model, postprocess. */
export type Predict<C extends ModelTypes = ModelTypes> = (request: RequestInit | readonly Tensor[] | HandlerRequest) => Promise<HandlerResponse<C>>;

/**
 * User code around one model. Every member is optional; `defineHandler` checks the rest. `M` is the model, `C` what clients send and get: the model's own tensors
 * unless the handler changes them.
 */
export interface Handler<M extends ModelTypes = ModelTypes, C extends ModelTypes = M> {
  /** What clients send, when it differs from what the model takes: published as metadata, and requests are checked against it. */
  readonly inputs?: readonly TensorMetadata[];
  /** What clients get, when it differs from what the model gives: published as metadata, and answers are checked against it. */
  readonly outputs?: readonly TensorMetadata[];
  /** Media types of bodies that come as bytes in `request.body`, e.g. `['image/png']`. `application/json`: v1 bodies come unread; those of v2 are tensors always. */
  readonly accepts?: readonly string[];
  /** False: a request is never run twice, not even when its process died under it. */
  readonly isIdempotent?: boolean;
  /** True: an answer follows from the request's tensors, body and parameters alone, not from headers, time or chance. It may come from the response cache then. */
  readonly isPure?: boolean;
  /** Before the first request; the model becomes ready when it has ended. */
  load?(ctx: LoadContext): Awaitable<void>;
  preprocess?(request: HandlerRequest<C>, ctx: HandlerContext): Awaitable<Preprocessed<M>>;
  /** Instead of the model. `next` is the model; a handler without a model file has none. */
  predict?(request: HandlerRequest<M>, next: Next<M>, ctx: HandlerContext): Answer;
  postprocess?(response: HandlerResponse<M>, ctx: HandlerContext): Answer;
  /** `predict` is the whole path of a prediction, on what clients send; `next` is the model alone, on what it takes. */
  explain?(request: HandlerRequest<C>, predict: Predict<C>, ctx: HandlerContext, next: Next<M>): Answer;
  /** After the last request, for at most five seconds. */
  unload?(ctx: LoadContext): Awaitable<void>;
}
