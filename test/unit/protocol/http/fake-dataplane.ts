import { statisticsOf } from '../../../support/statistics.ts';
import type { RequestContext } from '../../../../src/core/context.ts';
import { ServingError, modelNotFound, modelNotReady } from '../../../../src/core/errors.ts';
import type { InferRequest, InferResponse, Verb } from '../../../../src/core/infer.ts';
import { NO_CAPABILITIES, type Capabilities, type Signature } from '../../../../src/core/metadata.ts';
import type { Dataplane } from '../../../../src/dataplane/index.ts';

export const SIGNATURE: Signature = {
  inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2], dimensionNames: ['batch', undefined] }],
  outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 2] }],
};

export const EVENTS = { ceType: 'io.kserve.inference.response', ceSource: undefined, ceMerge: false, maxJsonDepth: 20 } as const;

export interface FakeDataplane extends Dataplane {
  readonly calls: { readonly verb: Verb; readonly request: InferRequest; readonly ctx: RequestContext }[];
  /** Of `echo`. */
  signature: Signature;
  capabilities: Capabilities;
  /** What `echo` answers beyond its outputs, or instead of them. */
  answer: Partial<InferResponse>;
  readonly repositoryCalls: string[];
  isServerReady: boolean;
}

/** Knows `echo` (versions 1 and 2), whose output is its input, and `loading`, which is not ready. */
export function createFakeDataplane(): FakeDataplane {
  const check = (name: string, version?: string): void => {
    if ((name !== 'echo' && name !== 'loading') || (version !== undefined && version !== '1' && version !== '2')) throw modelNotFound(name, version);
  };
  const checkReady = (name: string, version?: string): void => {
    check(name, version);
    if (name === 'loading') throw modelNotReady(name);
  };
  const run = (verb: Verb, request: InferRequest, ctx: RequestContext): Promise<InferResponse> => {
    dataplane.calls.push({ verb, request, ctx });
    const { modelName, id, inputs } = request;
    return Promise.resolve({
      modelName,
      modelVersion: '2',
      ...(id === undefined ? {} : { id }),
      outputs: inputs.map((x) => ({ ...x, name: 'y' })),
      ...dataplane.answer,
    });
  };
  const dataplane: FakeDataplane = {
    calls: [],
    signature: SIGNATURE,
    capabilities: NO_CAPABILITIES,
    answer: {},
    repositoryCalls: [],
    isServerReady: true,
    isLive: () => true,
    isReady: () => dataplane.isServerReady,
    isModelReady(name, version) {
      check(name, version);
      return name === 'echo';
    },
    statistics(name, version) {
      if (name !== undefined) checkReady(name, version);
      return [statisticsOf(name ?? 'echo', version ?? '2')];
    },
    serverMetadata: () => ({ name: 'kserve-node', version: '1.2.3', extensions: ['model_repository'] }),
    modelMetadata(name, version) {
      checkReady(name, version);
      return { name, versions: version === undefined ? ['1', '2'] : [version], platform: 'test_echo', properties: { opset: '13' }, ...SIGNATURE };
    },
    modelNames: () => ['echo', 'loading'],
    resolve(name, version, verb) {
      checkReady(name, version);
      const { signature, capabilities } = dataplane;
      if (verb === 'explain' && !capabilities.explains) throw new ServingError('unimplemented', 'Could not find explainer_host.');
      return { name, version: version ?? '2', signature, capabilities };
    },
    infer: (request, ctx) => run('infer', request, ctx),
    explain: (request, ctx) => run('explain', request, ctx),
    index: ({ readyOnly }) => [
      { name: 'echo', version: '2', state: 'READY', reason: '' },
      ...(readyOnly ? [] : [{ name: 'loading', version: '1', state: 'LOADING', reason: 'loading' } as const]),
    ],
    load(name) {
      if (name === 'busy') return Promise.reject(new ServingError('conflict', 'Cannot load model busy: it is being loaded'));
      dataplane.repositoryCalls.push(`load ${name}`);
      return Promise.resolve();
    },
    unload(name) {
      if (name !== 'echo') return Promise.reject(modelNotFound(name));
      dataplane.repositoryCalls.push(`unload ${name}`);
      return Promise.resolve();
    },
  };
  return dataplane;
}
