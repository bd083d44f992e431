import type { Body, InferRequest, RequestedOutput } from '../core/infer.ts';
import type { ModelIndexEntry, ModelMetadata, ServerMetadata } from '../core/metadata.ts';
import type { StopSignal } from '../core/stop-signal.ts';
import type { ParameterValue, Tensor } from '../core/tensor.ts';
import type { InferenceError } from './inference-error.ts';
import type { InferenceResponse } from './inference-response.ts';

/** PEM texts for `https://` and `grpcs://`. Without `ca` the platform's certificates are trusted. */
export interface TlsFiles {
  readonly ca?: string | Uint8Array;
  /** For servers that ask the client for a certificate; given together with `key`. */
  readonly cert?: string | Uint8Array;
  readonly key?: string | Uint8Array;
}

export interface ConnectOptions {
  /** Longest time that one call may take in all, its retries and pauses included. Default 60,000 ms. */
  readonly timeoutMs?: number;
  /** Further attempts after a failed one, when the server is not available, overloaded or cannot be reached. Default 3. */
  readonly retries?: number;
  /** Which failures are worth a further attempt. Default: those that are `retryable`. */
  readonly retryOn?: (error: InferenceError) => boolean;
  /**
   * `v2` (default): the Open Inference Protocol. `v1`: KServe's older protocol, over REST only. It knows inference and readiness and nothing else, and no
   * datatypes: numbers come back as INT64 or FP64.
   */
  readonly protocol?: 'v1' | 'v2';
  /** Sent with every call: HTTP headers, or gRPC metadata. */
  readonly headers?: Readonly<Record<string, string>>;
  /**
   * True (default): tensors travel as raw bytes, by REST's binary tensor data extension and gRPC's `raw_input_contents`. False: as JSON numbers and
   * gRPC's typed contents, for servers that know nothing else.
   */
  readonly binary?: boolean;
  /** Largest response that is read; a larger one fails the call. Default 1 GiB. */
  readonly maxResponseBytes?: number;
  /**
   * Most connections open at once; further calls wait. Default 64. A REST connection has one call at a time; gRPC's have as many as the server allows, mostly
   * one is enough.
   */
  readonly maxConnections?: number;
  readonly tls?: TlsFiles;
  /** Host that is asked for when it is not the address's own, as at the ingress of a cluster: HTTP's `Host`, gRPC's `:authority`. */
  readonly authority?: string;
}

export interface CallOptions {
  /** Ends the call at once, wherever it is; the promise rejects with reason `cancelled`. Any AbortSignal will do. */
  readonly signal?: StopSignal;
  /** Instead of the connection's `timeoutMs`. */
  readonly timeoutMs?: number;
  /** Added to the connection's `headers`. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Inference {
  /** Made with `tensor`. Their arrays must stay as they are until the promise settles. Empty when there is a body. */
  readonly inputs: readonly Tensor[];
  /** Sent instead of tensors, as it is, for models that take images and the like. REST only; id, parameters and outputs then stay behind. */
  readonly body?: Body;
  /** Names of the wanted outputs, or names with parameters. Absent: all outputs of the model. */
  readonly outputs?: readonly (string | RequestedOutput)[];
  /** Comes back in the response and stands in the server's logs. */
  readonly id?: string;
  readonly parameters?: Readonly<Record<string, ParameterValue>>;
  /** Absent: the server chooses. */
  readonly version?: string;
}

/** One server, by REST or gRPC. All methods reject with `InferenceError` only. */
export interface InferenceClient {
  infer(model: string, inference: Inference, options?: CallOptions): Promise<InferenceResponse>;
  /** False also when nothing answers at the address. The three questions about health are asked once, without retries. */
  isLive(options?: CallOptions): Promise<boolean>;
  isReady(options?: CallOptions): Promise<boolean>;
  /** Rejects with `model_not_found` when the server does not know the model. */
  isModelReady(model: string, version?: string, options?: CallOptions): Promise<boolean>;
  serverMetadata(options?: CallOptions): Promise<ServerMetadata>;
  modelMetadata(model: string, version?: string, options?: CallOptions): Promise<ModelMetadata>;
  /** Names of the server's models (REST: KServe's `GET /v2/models`; gRPC: from the repository index). */
  models(options?: CallOptions): Promise<readonly string[]>;
  /** State of every version of every model in the repository (Triton's model repository extension). */
  index(filter?: { readonly readyOnly?: boolean }, options?: CallOptions): Promise<readonly ModelIndexEntry[]>;
  loadModel(model: string, options?: CallOptions): Promise<void>;
  unloadModel(model: string, options?: CallOptions): Promise<void>;
  /** Closes the connections; calls under way are cancelled, and later ones refused. */
  close(): void;
}

/** One try of one call. `signal` aborts when the caller leaves, the time is over or the client closes. */
export interface Attempt {
  readonly signal: StopSignal;
  /** Milliseconds left for the call when the attempt starts. */
  readonly timeoutMs: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * What REST and gRPC each do in their own way: one attempt, no retries. Rejects with `InferenceError`; what an aborted attempt rejects with is
 * of no account.
 */
export interface Transport {
  infer(request: InferRequest, attempt: Attempt): Promise<InferenceResponse>;
  isLive(attempt: Attempt): Promise<boolean>;
  isReady(attempt: Attempt): Promise<boolean>;
  isModelReady(model: string, version: string | undefined, attempt: Attempt): Promise<boolean>;
  serverMetadata(attempt: Attempt): Promise<ServerMetadata>;
  modelMetadata(model: string, version: string | undefined, attempt: Attempt): Promise<ModelMetadata>;
  models(attempt: Attempt): Promise<readonly string[]>;
  index(readyOnly: boolean, attempt: Attempt): Promise<readonly ModelIndexEntry[]>;
  loadModel(model: string, attempt: Attempt): Promise<void>;
  unloadModel(model: string, attempt: Attempt): Promise<void>;
  close(): void;
}
