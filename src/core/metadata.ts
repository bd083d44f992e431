import type { Datatype } from './datatype.ts';

/** One input or output of a model. -1 in `shape` is a dimension that varies. */
export interface TensorMetadata {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  /** Names of the varying dimensions where the model gives them (same length as `shape`); equal names mean equal sizes. */
  readonly dimensionNames?: readonly (string | undefined)[];
}

/** What a model takes and gives; requests are validated against it and metadata endpoints publish it. */
export interface Signature {
  /** Nothing is known: a handler that declares no inputs and has no model file, or a predictor elsewhere that was not asked. Any tensors pass. */
  readonly isOpen?: true;
  readonly inputs: readonly TensorMetadata[];
  readonly outputs: readonly TensorMetadata[];
}

/** What user code adds to a model beyond tensors in and tensors out. */
export interface Capabilities {
  /** Media types of bodies that go to the handler as bytes: `image/png`, or a whole family as `image/` with a star. */
  readonly accepts: readonly string[];
  /** It answers the verb `explain` itself. */
  readonly explains: boolean;
  /** User code sees the tensors, and may hold on to them. */
  readonly runsUserCode?: true;
  /** Equal requests have equal answers: they may come from the response cache. */
  readonly isPure?: true;
}

export const NO_CAPABILITIES: Capabilities = { accepts: [], explains: false };

/** OIP "Model Metadata". */
export interface ModelMetadata extends Signature {
  readonly name: string;
  readonly versions: readonly string[];
  /** `<project>_<format>`, e.g. `onnx_onnxv1`. */
  readonly platform: string;
  readonly properties: Readonly<Record<string, string>>;
}

/** OIP "Server Metadata". */
export interface ServerMetadata {
  readonly name: string;
  readonly version: string;
  readonly extensions: readonly string[];
}

/** State of one version of a model in the repository index (Triton's model repository extension). */
export interface ModelIndexEntry {
  readonly name: string;
  readonly version: string;
  readonly state: 'READY' | 'LOADING' | 'UNLOADING' | 'UNAVAILABLE';
  /** Why it is not ready; empty when it is. */
  readonly reason: string;
}
