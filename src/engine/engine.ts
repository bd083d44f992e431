import type { Logger } from '../core/context.ts';
import type { Signature } from '../core/metadata.ts';
import type { StopSignal } from '../core/stop-signal.ts';
import type { Tensor } from '../core/tensor.ts';

/** Where a model lies: a directory that holds the files of exactly one version of it, or one model file. Absolute path. */
export interface ModelSource {
  readonly path: string;
}

/** How to run it. Threads and provider are decided by the owner of the thread budget, never by the engine. */
export interface EngineOptions {
  /** ONNX Runtime's C API (`native`), the npm package's own binding (`node`), or the first that loads (`auto`). */
  readonly onnxBinding: 'auto' | 'native' | 'node';
  /** `auto`: cuda when its provider library and a device are there, else cpu. `cuda`: refuses to load without it. */
  readonly provider: 'auto' | 'cpu' | 'cuda';
  readonly intraOpThreads: number;
  /** Of a run that starts while another is under way; absent: as many as any. */
  readonly besideThreads?: number;
  readonly interOpThreads: number;
  /** Where what takes long to load is kept in a form that does not; absent: nowhere. */
  readonly graphCache?: GraphCacheOptions;
}

/** A cache of models (`storage/cache`) that keeps their optimised graphs, too. */
export interface GraphCacheOptions {
  readonly dir: string;
  /** Most bytes of all that the cache keeps; 0 leaves it to the volume. */
  readonly maxBytes: number;
  /** Models that load faster are left alone. 0: every graph is kept, whether it pays or not. */
  readonly worthMs: number;
  /** How long after a load its graph is made: a start is over by then. */
  readonly makeAfterMs: number;
  /** Models of smaller files are not looked for. */
  readonly minFileBytes?: number;
}

/** One kind of model that this build can run. Only its folder imports its library. */
export interface Engine {
  readonly name: string;
  /** True when the directory or file looks like a model of this engine; reads names and a few bytes only. */
  recognizes(source: ModelSource): Promise<boolean>;
  /** Throws ServingError model_failed with one line that names the file and the reason. */
  load(source: ModelSource, options: EngineOptions, log: Logger): Promise<EngineSession>;
}

/** A loaded model. `run` may be called again before earlier runs end when `isConcurrent`. */
export interface EngineSession {
  readonly signature: Signature;
  /** `<project>_<format>` of OIP's model metadata, e.g. `onnx_onnxv1`. */
  readonly platform: string;
  /** Facts for people: file, opset, producer, binding, provider really taken, custom properties. Values are short. */
  readonly properties: Readonly<Record<string, string>>;
  /** False where a run blocks the event loop (`onnxBinding: node`). */
  readonly isConcurrent: boolean;
  /** False where a run cannot be stopped once begun; then only ending the process stops it. */
  readonly isCancellable: boolean;
  /**
   * Runs the model once. `inputs` agree with the signature; their data stays untouched and in place until the promise settles, and the session keeps
   * it alive until then. The outputs are those in `wanted` (all of the signature's when empty), in that order, in buffers of their own that belong to the caller.
   * Rejects with ServingError: invalid_request when the model refuses the inputs' shapes, cancelled when `signal` stopped it, else model_failed.
   */
  run(inputs: readonly Tensor[], wanted: readonly string[], signal?: StopSignal): Promise<readonly Tensor[]>;
  /** Waits for runs in flight, then frees everything native. A later `run` rejects. */
  dispose(): Promise<void>;
}
