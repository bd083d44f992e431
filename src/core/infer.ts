import type { Parameters, Tensor } from './tensor.ts';

/** An output the client asks for by name; `parameters` may hold `binary_data` (binary tensor data extension). */
export interface RequestedOutput {
  readonly name: string;
  readonly parameters?: Parameters;
}

/** One inference request, the same for every protocol (OIP "Inference Request"). */
export interface InferRequest {
  readonly modelName: string;
  /** As the client gave it; absent when the server is to choose. */
  readonly modelVersion?: string;
  /** The client's own id, echoed in the response; absent when it gave none. */
  readonly id?: string;
  readonly parameters?: Parameters;
  readonly inputs: readonly Tensor[];
  /** Absent or empty: all outputs of the model. */
  readonly outputs?: readonly RequestedOutput[];
}

/** One inference response (OIP "Inference Response"); outputs are in the order requested, else in the model's. */
export interface InferResponse {
  readonly modelName: string;
  readonly modelVersion?: string;
  readonly id?: string;
  readonly parameters?: Parameters;
  readonly outputs: readonly Tensor[];
}
