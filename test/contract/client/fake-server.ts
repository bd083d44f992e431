import type { ErrorReason } from '../../../src/core/errors.ts';
import type { InferRequest } from '../../../src/core/infer.ts';
import type { ModelIndexEntry, ModelMetadata, ServerMetadata } from '../../../src/core/metadata.ts';

/** What the fake does with the next inference; without an entry it answers with the inputs as outputs. */
export type FakeAct =
  | { readonly kind: 'echo' }
  | { readonly kind: 'fail'; readonly reason: ErrorReason; readonly message: string; readonly retryAfterMs?: number }
  /** Never answers. */
  | { readonly kind: 'hang' }
  /** Breaks the connection without an answer. */
  | { readonly kind: 'drop' }
  /** Succeeds with bytes that are no response. */
  | { readonly kind: 'nonsense' };

export interface FakeCall {
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly request: InferRequest;
  /** Milliseconds on the clock of `performance.now()`. */
  readonly at: number;
  /** Tensors came as raw bytes. */
  readonly isBinary: boolean;
}

/** State that tests set and read; one for each fake server. */
export class FakeState {
  live = true;
  ready = true;
  readonly acts: FakeAct[] = [];
  readonly calls: FakeCall[] = [];
  /** Loaded models; "echo" is there from the start. */
  readonly models = new Set(['echo']);
  /** Requests to the repository, e.g. `load digits`. */
  readonly repositoryCalls: string[] = [];
  #hanging: (() => void)[] = [];
  #left: (() => void)[] = [];

  readonly serverMetadata: ServerMetadata = { name: 'fake', version: '1.2', extensions: ['binary_tensor_data', 'model_repository'] };
  readonly modelMetadata: ModelMetadata = {
    name: 'echo',
    versions: ['1', '2'],
    platform: 'onnx_onnxv1',
    inputs: [{ name: 'input', datatype: 'FP32', shape: [-1, 64] }],
    outputs: [
      { name: 'label', datatype: 'INT64', shape: [-1] },
      { name: 'scalar', datatype: 'BYTES', shape: [] },
    ],
    properties: { author: 'ä' },
  };

  index(readyOnly: boolean): readonly ModelIndexEntry[] {
    const entries: ModelIndexEntry[] = [...this.models].map((name) => ({ name, version: '1', state: 'READY', reason: '' }));
    return readyOnly ? entries : [...entries, { name: 'broken', version: '1', state: 'UNAVAILABLE', reason: 'no such file' }];
  }

  /** The act for a call that has arrived. */
  next(call: FakeCall): FakeAct {
    this.calls.push(call);
    const act = this.acts.shift() ?? { kind: 'echo' };
    if (act.kind === 'hang') for (const tell of this.#hanging.splice(0)) tell();
    return act;
  }

  clientLeft(): void {
    for (const tell of this.#left.splice(0)) tell();
  }

  /** Resolves when a call arrives that is left hanging. */
  whenHanging(): Promise<void> {
    return new Promise((resolve) => this.#hanging.push(resolve));
  }

  /** Resolves when the client gives up a call that is left hanging. */
  whenClientLeft(): Promise<void> {
    return new Promise((resolve) => this.#left.push(resolve));
  }
}

export interface FakeServer {
  readonly url: string;
  readonly state: FakeState;
  close(): Promise<void>;
}
