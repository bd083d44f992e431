import type { RequestContext } from '../../../src/core/context.ts';
import { modelNotFound, modelNotReady } from '../../../src/core/errors.ts';
import type { InferRequest, InferResponse } from '../../../src/core/infer.ts';
import { NO_CAPABILITIES, type Signature } from '../../../src/core/metadata.ts';
import type { Tensor } from '../../../src/core/tensor.ts';
import { createDataplane, type DataplaneControl, type DataplaneDependencies, type DataplaneObserver } from '../../../src/dataplane/index.ts';
import type { ModelRepository, ServedModel } from '../../../src/repository/index.ts';
import type { Job } from '../../../src/scheduler/index.ts';

export const SIGNATURE: Signature = {
  inputs: [
    { name: 'x', datatype: 'FP32', shape: [-1, 2], dimensionNames: ['batch', undefined] },
    { name: 'n', datatype: 'INT64', shape: [-1], dimensionNames: ['batch'] },
  ],
  outputs: [
    { name: 'a', datatype: 'FP32', shape: [-1] },
    { name: 'b', datatype: 'FP32', shape: [-1] },
  ],
};

export const fp32 = (name: string, shape: readonly number[]): Tensor => ({
  name,
  datatype: 'FP32',
  shape,
  data: new Float32Array(shape.reduce((product, size) => product * size, 1)),
});
export const int64 = (name: string, size: number): Tensor => ({ name, datatype: 'INT64', shape: [size], data: new BigInt64Array(size) });

export const INPUTS: readonly Tensor[] = [fp32('x', [3, 2]), int64('n', 3)];
export const OUTPUTS: readonly Tensor[] = [fp32('a', [3]), fp32('b', [3])];

export interface Setup {
  readonly dataplane: DataplaneControl;
  readonly submitted: (Job & { readonly ctx: RequestContext })[];
  readonly seen: string[];
  readonly infer: (request?: Partial<InferRequest>, deadline?: number) => Promise<InferResponse>;
  readonly explain: (request?: Partial<InferRequest>, deadline?: number) => Promise<InferResponse>;
}

export function setUp(
  run: (job: Job) => Promise<InferResponse> = () => Promise.resolve({ modelName: 'child', id: 'child', outputs: OUTPUTS }),
  requestTimeoutMs = Infinity,
  served: Partial<ServedModel> = {},
  deps: Pick<DataplaneDependencies, 'explainer' | 'readiness' | 'cache' | 'statistics'> = {},
): Setup {
  const submitted: (Job & { ctx: RequestContext })[] = [];
  const seen: string[] = [];
  const model: ServedModel = {
    name: 'm',
    version: '3',
    signature: SIGNATURE,
    capabilities: NO_CAPABILITIES,
    platform: 'onnx_onnxv1',
    properties: { file: 'model.onnx' },
    isReady: true,
    scheduler: {
      queueDepth: 0,
      running: 0,
      submit: (job, ctx) => {
        submitted.push({ ...job, ctx });
        return run(job);
      },
      drain: () => Promise.resolve(),
    },
    ...served,
  };
  const repository: ModelRepository = {
    start: () => Promise.resolve(),
    names: () => ['m', 'loading'],
    find: (name, version) => {
      if (name === 'loading') throw modelNotReady(name);
      if (name !== 'm' || (version !== undefined && version !== '3')) throw modelNotFound(name, version);
      return model;
    },
    isReady: (name) => name === 'm',
    isAllReady: () => true,
    index: () => [
      { name: 'm', version: '3', state: 'READY', reason: '' },
      { name: 'loading', version: '1', state: 'LOADING', reason: 'being loaded' },
    ],
    load: (name) => Promise.reject(modelNotFound(name)),
    unload: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
  const observer: DataplaneObserver = {
    started: (name, version, verb) => seen.push(`started ${name}/${version}${verb === 'infer' ? '' : ` ${verb}`}`),
    finished: ({ model: name, version, verb, protocol, reason, seconds }) => {
      seen.push(
        `finished ${name}/${version}${verb === 'infer' ? '' : ` ${verb}`} ${protocol} ${reason}${seconds >= 0 && seconds < 10 ? '' : ` after ${String(seconds)} s`}`,
      );
    },
  };
  const dataplane = createDataplane({ requestTimeoutMs, serverName: 'kserve-node', version: '1.2.3' }, { repository, observer, ...deps });
  const context = (deadline: number): RequestContext => ({
    id: 'ctx',
    protocol: 'v2-grpc',
    signal: new AbortController().signal,
    deadline,
    headers: { a: 'b' },
  });
  return {
    dataplane,
    submitted,
    seen,
    infer: (request = {}, deadline = Infinity) => dataplane.infer({ modelName: 'm', inputs: INPUTS, ...request }, context(deadline)),
    explain: (request = {}, deadline = Infinity) => dataplane.explain({ modelName: 'm', inputs: INPUTS, ...request }, context(deadline)),
  };
}
