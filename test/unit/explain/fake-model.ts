import { SILENT_LOGGER, type RequestContext } from '../../../src/core/context.ts';
import type { Datatype } from '../../../src/core/datatype.ts';
import type { InferRequest, InferResponse } from '../../../src/core/infer.ts';
import { NO_CAPABILITIES, type Signature } from '../../../src/core/metadata.ts';
import { StopSource } from '../../../src/core/stop-signal.ts';
import type { Parameters, Tensor } from '../../../src/core/tensor.ts';
import type { Predict, ResolvedModel } from '../../../src/dataplane/index.ts';
import type { ExplainerSettings } from '../../../src/explain/options.ts';
import { tensorOf, tensorValues } from '../../support/vectors.ts';

export const SETTINGS: ExplainerSettings = {
  kind: 'kernel-shap',
  background: undefined,
  input: undefined,
  output: undefined,
  samples: 'auto',
  seed: 0,
  maxFeatures: 1024,
  maxRows: 256,
  maxRequests: 16,
  patch: 'auto',
  stride: 'auto',
  baseline: 0,
};

/** One row's values to the model's answer for it. */
export type RowFunction = (row: readonly number[]) => readonly number[];

export interface FakeModel extends ResolvedModel {
  readonly predict: Predict;
  /** Inputs of each call. */
  readonly calls: (readonly Tensor[])[];
}

/** A model of one input `x` whose output `y` (FP64 [rows, K]) is computed row by row. */
export function fakeModel(compute: RowFunction, options: { readonly signature?: Signature; readonly datatype?: Datatype } = {}): FakeModel {
  const { datatype = 'FP64' } = options;
  const calls: (readonly Tensor[])[] = [];
  return {
    name: 'fake',
    version: '1',
    capabilities: NO_CAPABILITIES,
    signature: options.signature ?? {
      inputs: [{ name: 'x', datatype, shape: [-1, -1] }],
      outputs: [{ name: 'y', datatype: 'FP64', shape: [-1, -1] }],
    },
    calls,
    predict: (inputs) => {
      calls.push(inputs);
      const x = inputs.find(({ name }) => name === 'x')!;
      const values = tensorValues(x).map(Number);
      const rows = x.shape[0]!;
      const width = values.length / rows;
      const answers = Array.from({ length: rows }, (_, row) => compute(values.slice(row * width, (row + 1) * width)));
      return Promise.resolve([tensorOf('y', 'FP64', [rows, answers[0]!.length], answers.flat())]);
    },
  };
}

export function requestOf(inputs: readonly Tensor[], parameters?: Parameters): InferRequest {
  return { modelName: 'fake', inputs, ...(parameters === undefined ? {} : { parameters }) };
}

export function rowsOf(rows: readonly (readonly number[])[], datatype: Datatype = 'FP64'): Tensor {
  return tensorOf('x', datatype, [rows.length, rows[0]!.length], rows.flat());
}

export function contextOf(changes: Partial<RequestContext> = {}): RequestContext {
  return { id: 'r', protocol: 'v2-rest', signal: new StopSource(), deadline: Infinity, headers: {}, ...changes };
}

export const DEPS = { log: SILENT_LOGGER };

export function valuesOf(response: InferResponse, name: string): number[] {
  const tensor = response.outputs.find((output) => output.name === name);
  if (tensor === undefined) throw new Error(`output "${name}" is missing`);
  return tensorValues(tensor).map(Number);
}
