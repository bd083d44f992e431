import type { Parameters, Tensor } from './tensor.ts';

/** An output the client asks for by name; `parameters` may hold `binary_data` (binary tensor data extension). */
export interface RequestedOutput {
  readonly name: string;
  readonly parameters?: Parameters;
}

/** A body that goes to or comes from user code as it is: an image, audio, text, or JSON that no tensor can hold. */
export interface Body {
  /** Media type, with parameters as the sender gave them, e.g. `image/png`. */
  readonly contentType: string;
  readonly bytes: Uint8Array;
}

/** What is asked of a model: a prediction, or why it predicts so. */
export type Verb = 'infer' | 'explain';

/** One inference request, the same for every protocol (OIP "Inference Request"). */
export interface InferRequest {
  readonly modelName: string;
  /** As the client gave it; absent when the server is to choose. */
  readonly modelVersion?: string;
  /** The client's own id, echoed in the response; absent when it gave none. */
  readonly id?: string;
  readonly parameters?: Parameters;
  /** Empty when there is a body. */
  readonly inputs: readonly Tensor[];
  /** What the client sent instead of tensors; only models with a handler take one. */
  readonly body?: Body;
  /** Absent or empty: all outputs of the model. */
  readonly outputs?: readonly RequestedOutput[];
}

/** One inference response (OIP "Inference Response"); outputs are in the order requested, else in the model's. */
export interface InferResponse {
  readonly modelName: string;
  readonly modelVersion?: string;
  readonly id?: string;
  readonly parameters?: Parameters;
  /** Empty when there is a body. */
  readonly outputs: readonly Tensor[];
  /** What the handler answers instead of tensors. Only HTTP can carry it. */
  readonly body?: Body;
  /** HTTP headers or gRPC metadata that the handler set, names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Others have the same outputs: their memory must not be given back. */
  readonly isShared?: true;
}
