import { SILENT_LOGGER } from '../../../src/core/context.ts';
import { describe, expect, test } from 'vitest';
import type { BatchMember } from '../../../src/core/batch.ts';
import { ServingError } from '../../../src/core/errors.ts';
import type { Tensor } from '../../../src/core/tensor.ts';
import type { EngineSession } from '../../../src/engine/index.ts';
import { createPipeline } from '../../../src/pipeline/session-pipeline.ts';

type Run = EngineSession['run'];

interface FakeSession extends EngineSession {
  readonly calls: Parameters<Run>[];
}

function fakeSession(run: Run, isConcurrent = true): FakeSession {
  const calls: Parameters<Run>[] = [];
  return {
    calls,
    signature: {
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1] }],
      outputs: [
        { name: 'y', datatype: 'FP32', shape: [-1] },
        { name: 'z', datatype: 'FP32', shape: [-1] },
      ],
    },
    platform: 'fake_fakev1',
    properties: { file: 'fake' },
    isConcurrent,
    isCancellable: true,
    run: (...call) => {
      calls.push(call);
      return run(...call);
    },
    dispose: () => Promise.resolve(),
  };
}

const input = (value: number): Tensor => ({ name: 'x', datatype: 'FP32', shape: [1], data: new Float32Array([value]) });
const ctx = { id: 'r', protocol: 'v2-rest', signal: new AbortController().signal, deadline: Infinity, headers: {} } as const;
const member = (inputs: readonly Tensor[], signal = new AbortController().signal): BatchMember => ({
  verb: 'infer',
  ctx,
  request: { modelName: 'asked', inputs },
  signal,
});
const negate: Run = ([x], wanted) =>
  Promise.resolve(
    (wanted.length === 0 ? ['y', 'z'] : wanted).map((name) => ({
      name,
      datatype: 'FP32',
      shape: [1],
      data: new Float32Array([-(x!.data as Float32Array)[0]!]),
    })),
  );
const pipelineOver = (session: EngineSession): ReturnType<typeof createPipeline> =>
  createPipeline({ modelName: 'm', modelVersion: '3' }, session, SILENT_LOGGER);

describe('a pipeline over a session', () => {
  test('answers each member with its own outputs, the name and version of the model, and the id of the request', async () => {
    const pipeline = pipelineOver(fakeSession(negate));
    const withId: BatchMember = {
      verb: 'infer',
      ctx,
      request: { modelName: 'asked', id: 'q', inputs: [input(2)], outputs: [{ name: 'z' }] },
      signal: new AbortController().signal,
    };
    const { responses, timings } = await pipeline.run({ members: [member([input(1)]), withId] });
    expect(responses).toMatchObject([
      { ok: true, value: { modelName: 'm', modelVersion: '3', outputs: [{ name: 'y', data: new Float32Array([-1]) }, { name: 'z' }] } },
      { ok: true, value: { modelName: 'm', modelVersion: '3', id: 'q', outputs: [{ name: 'z', data: new Float32Array([-2]) }] } },
    ]);
    expect(responses[0]?.ok === true && 'id' in responses[0].value).toBe(false);
    expect(Object.values(timings).every((ms) => typeof ms === 'number' && ms >= 0)).toBe(true);
  });

  test('a bad member fails alone and never reaches the engine', async () => {
    const session = fakeSession(negate);
    const { responses } = await pipelineOver(session).run({ members: [member([input(1)]), member([]), member([input(3)])] });
    expect(responses.map(({ ok }) => ok)).toEqual([true, false, true]);
    expect(responses[1]).toMatchObject({ error: { reason: 'invalid_request', message: 'Missing input "x" for model "m": expected "x"' } });
    expect(session.calls).toHaveLength(2);
  });

  test('an unknown requested output is refused', async () => {
    const request = { modelName: 'm', inputs: [input(1)], outputs: [{ name: 'nope' }] };
    const { responses } = await pipelineOver(fakeSession(negate)).run({
      members: [{ verb: 'infer', ctx, request, signal: new AbortController().signal }],
    });
    expect(responses).toMatchObject([{ ok: false, error: { reason: 'invalid_request' } }]);
  });

  test('what an engine throws settles its member alone; an unknown error becomes model_failed with the cause kept', async () => {
    const failing: Run = ([x], wanted) => {
      const value = (x!.data as Float32Array)[0]!;
      if (value === 1) return Promise.reject(new ServingError('invalid_request', 'bad shape'));
      if (value === 2) return Promise.reject(new TypeError('native trouble'));
      return negate([x!], wanted);
    };
    const { responses } = await pipelineOver(fakeSession(failing)).run({ members: [1, 2, 3].map((value) => member([input(value)])) });
    expect(responses).toMatchObject([
      { ok: false, error: { reason: 'invalid_request', message: 'bad shape' } },
      { ok: false, error: { reason: 'model_failed', message: 'Model "m" failed while running', cause: { message: 'native trouble' } } },
      { ok: true },
    ]);
  });

  test('a member that is gone already is cancelled without a run', async () => {
    const session = fakeSession(negate);
    const { responses } = await pipelineOver(session).run({ members: [member([input(1)], AbortSignal.abort()), member([input(2)])] });
    expect(responses).toMatchObject([{ ok: false, error: { reason: 'cancelled' } }, { ok: true }]);
    expect(session.calls).toHaveLength(1);
  });

  test('a member that leaves while it runs stops its own run through the signal', async () => {
    const controller = new AbortController();
    const session = fakeSession((inputs, wanted, signal) =>
      signal === controller.signal
        ? new Promise((_resolve, reject) => {
            signal.addEventListener('abort', () => {
              reject(new ServingError('cancelled', 'stopped'));
            });
            controller.abort();
          })
        : negate(inputs, wanted),
    );
    const { responses } = await pipelineOver(session).run({ members: [member([input(1)], controller.signal), member([input(2)])] });
    expect(responses).toMatchObject([{ ok: false, error: { reason: 'cancelled' } }, { ok: true }]);
  });

  test.each([
    [true, 2],
    [false, 1],
  ])('with a session whose isConcurrent is %s, at most %i of the six runs of two batches are in flight at once', async (isConcurrent, most) => {
    let running = 0;
    let peak = 0;
    const session = fakeSession(async (inputs, wanted) => {
      running++;
      peak = Math.max(peak, running);
      await new Promise((resolve) => setImmediate(resolve));
      running--;
      return negate(inputs, wanted);
    }, isConcurrent);
    const pipeline = pipelineOver(session);
    const members = [1, 2, 3].map((value) => member([input(value)]));
    const results = await Promise.all([pipeline.run({ members }), pipeline.run({ members })]);
    expect(results.flatMap(({ responses }) => responses).every(({ ok }) => ok)).toBe(true);
    expect(peak).toBe(most);
  });

  test('between members that run in turn a cancellation is heard', async () => {
    const controller = new AbortController();
    const session = fakeSession((inputs, wanted) => {
      setImmediate(() => {
        controller.abort();
      });
      return negate(inputs, wanted);
    }, false);
    const { responses } = await pipelineOver(session).run({ members: [member([input(1)]), member([input(2)], controller.signal)] });
    expect(responses).toMatchObject([{ ok: true }, { ok: false, error: { reason: 'cancelled' } }]);
    expect(session.calls).toHaveLength(1);
  });

  test('an empty batch has no answers', async () => {
    expect((await pipelineOver(fakeSession(negate)).run({ members: [] })).responses).toEqual([]);
  });

  test('after dispose nothing runs', async () => {
    const session = fakeSession(negate);
    const pipeline = pipelineOver(session);
    await pipeline.dispose();
    expect((await pipeline.run({ members: [member([input(1)])] })).responses).toMatchObject([{ ok: false, error: { reason: 'model_not_ready' } }]);
    expect(session.calls).toHaveLength(0);
  });
});
