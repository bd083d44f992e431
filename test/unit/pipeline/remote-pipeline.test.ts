import { describe, expect, it } from 'vitest';
import { ServingError } from '../../../src/core/errors.ts';
import type { RemotePredictor } from '../../../src/engine/index.ts';
import { remoteModel } from '../../../src/pipeline/next-model.ts';
import { createRemotePipeline } from '../../../src/pipeline/remote-pipeline.ts';
import { answerOf, errorOf, member, rows, run } from './fake-handler.ts';

const METADATA = { inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }], outputs: [], platform: 'onnx_onnxv1' } as const;

function predictor(given: Partial<RemotePredictor> = {}): RemotePredictor & { readonly hops: unknown[]; isClosed: boolean } {
  const fake = {
    hops: [] as unknown[],
    isClosed: false,
    metadata: () => Promise.resolve(METADATA),
    infer: (_request: unknown, hop: unknown) => {
      fake.hops.push(hop);
      return Promise.resolve({ modelName: 'theirs', id: 'theirs', outputs: [rows('y', [3, 4])], headers: { 'x-a': 'b' } });
    },
    isReady: () => Promise.resolve(true),
    close: () => void (fake.isClosed = true),
    ...given,
  };
  return fake;
}

const pipelineOver = async (remote: RemotePredictor) => createRemotePipeline({ modelName: 'm', modelVersion: '1' }, await remoteModel(remote));

describe('a pipeline to a predictor elsewhere', () => {
  it('hands requests on with what belongs to the hop, and answers in its own name', async () => {
    const remote = predictor();
    const pipeline = await pipelineOver(remote);
    expect(await answerOf(pipeline, { id: 'mine', headers: { traceparent: 't' }, deadline: 5 })).toEqual({
      modelName: 'm',
      modelVersion: '1',
      id: 'mine',
      outputs: [rows('y', [3, 4])],
      headers: { 'x-a': 'b' },
    });
    expect(remote.hops).toMatchObject([{ id: 'req-1', headers: { traceparent: 't' }, deadline: 5 }]);
    expect(pipeline).toMatchObject({ platform: 'onnx_onnxv1', isConcurrent: true, concurrency: 256, isRetryable: true });
  });

  it('knows nothing of the tensors when the predictor says nothing', async () => {
    const pipeline = await pipelineOver(predictor({ metadata: () => Promise.resolve(undefined) }));
    expect(pipeline.signature).toEqual({ isOpen: true, inputs: [], outputs: [] });
  });

  it('settles each member on its own: refused there, gone, or not to be explained', async () => {
    const infer: RemotePredictor['infer'] = ({ id }) =>
      Promise.reject(id === 'odd' ? new Error('bug') : new ServingError('invalid_request', 'Unexpected input'));
    const pipeline = await pipelineOver(predictor({ infer }));
    const { responses } = await run(pipeline, member(), member({ id: 'odd' }), member({ signal: AbortSignal.abort() }), member({ verb: 'explain' }));
    expect(responses.map((settled) => settled.ok || settled.error.reason)).toEqual([
      'invalid_request',
      'upstream_failed',
      'cancelled',
      'unimplemented',
    ]);
  });

  it('closes its connections at the end and takes nothing more', async () => {
    const remote = predictor();
    const pipeline = await pipelineOver(remote);
    await pipeline.dispose();
    expect(remote.isClosed).toBe(true);
    expect((await errorOf(pipeline)).reason).toBe('model_not_ready');
  });
});
