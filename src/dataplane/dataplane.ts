import type { RequestContext } from '../core/context.ts';
import type { ErrorReason } from '../core/errors.ts';
import type { InferRequest, InferResponse, Verb } from '../core/infer.ts';
import type { Capabilities, ModelIndexEntry, ModelMetadata, ServerMetadata, Signature } from '../core/metadata.ts';
import type { ModelStatistics } from '../core/statistics.ts';
import type { Tensor } from '../core/tensor.ts';

/** A model that a request may go to, as `resolve` found it. */
export interface ResolvedModel {
  readonly name: string;
  readonly version: string;
  /** What requests are decoded and validated against. */
  readonly signature: Signature;
  readonly capabilities: Capabilities;
}

/** Explains predictions of any model from the outside, by asking it many times. */
export interface Explainer {
  /**
   * `predict` runs the model on tensors of its signature, at low priority and within the request's deadline. Rejects with ServingError; stops soon after
   * `ctx.signal` aborts.
   */
  explain(request: InferRequest, model: ResolvedModel, predict: Predict, ctx: RequestContext): Promise<InferResponse>;
}

/** `outputs` are names; absent: all. */
export type Predict = (inputs: readonly Tensor[], outputs?: readonly string[]) => Promise<readonly Tensor[]>;

/** The waist: every protocol calls these verbs and nothing behind them. An absent version means the newest ready one. */
export interface Dataplane {
  /** The process serves. */
  isLive(): boolean;
  /** Every configured model and what it depends on is ready (false without any), and the server is not shutting down. */
  isReady(): boolean;
  /** Throws model_not_found. */
  isModelReady(name: string, version?: string): boolean;
  serverMetadata(): ServerMetadata;
  /** Throws model_not_found, model_not_ready. */
  modelMetadata(name: string, version?: string): ModelMetadata;
  /** Names of all known models, in the order of registration. */
  modelNames(): readonly string[];
  /**
   * Called before a body is read, so that an unknown or loading model costs no decoding. Throws model_not_found, model_not_ready, server_not_ready; for the
   * verb `explain` also unimplemented, when nothing here explains the model.
   */
  resolve(name: string, version?: string, verb?: Verb): ResolvedModel;
  /**
   * Validates the request against the model's signature, runs it and selects the outputs. The deadline is the least of `ctx.deadline`, the request's
   * `timeout` parameter (microseconds, as Triton; 0: none) and the server's own. A body goes to the handler of a model that accepts its media type, and a
   * body that the handler answers comes back with nothing selected from it. Rejects with ServingError only.
   */
  infer(request: InferRequest, ctx: RequestContext): Promise<InferResponse>;
  /**
   * Explains a prediction: by the model's handler when it can, else by the server's explainer. Same rules as `infer`, but that requested outputs, which are
   * the model's, select nothing from the explanation. Throws unimplemented when there is neither.
   */
  explain(request: InferRequest, ctx: RequestContext): Promise<InferResponse>;
  /**
   * What became of the requests to a model, or to every model that serves when none is named (Triton's statistics extension). Throws model_not_found,
   * model_not_ready.
   */
  statistics(name?: string, version?: string): readonly ModelStatistics[];
  index(filter: { readonly readyOnly: boolean }): readonly ModelIndexEntry[];
  /** Loads or reloads a model of the repository; a failure leaves the loaded one serving. Throws model_not_found, conflict (load in progress), model_not_ready (cannot be loaded; the message says why). */
  load(name: string): Promise<void>;
  /** Throws model_not_found when no such model is loaded, conflict. */
  unload(name: string): Promise<void>;
}

/** The dataplane as its owner sees it: with the steps of a shutdown. */
export interface DataplaneControl extends Dataplane {
  /** Requests inside `infer` and `explain`. */
  readonly inFlight: number;
  /** From now on not ready; requests are still served, so that load balancers have time to look away. */
  beginShutdown(): void;
  /** From now on `resolve`, `infer` and `explain` refuse with server_not_ready; what is in flight goes on. */
  stopAccepting(): void;
}

/** Silent by default; server.ts connects telemetry. Called for requests to known models only. */
export interface DataplaneObserver {
  started?(model: string, version: string, verb: Verb): void;
  /** Once for each `started`. */
  finished?(outcome: {
    readonly model: string;
    readonly version: string;
    readonly verb: Verb;
    readonly protocol: RequestContext['protocol'];
    readonly reason: ErrorReason | 'ok';
    readonly seconds: number;
  }): void;
}
