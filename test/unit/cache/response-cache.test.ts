import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createResponseCache, type ResponseCache } from '../../../src/cache/index.ts';
import type { RequestContext } from '../../../src/core/context.ts';
import { ServingError } from '../../../src/core/errors.ts';
import type { InferRequest, InferResponse } from '../../../src/core/infer.ts';
import { bytesFromElements } from '../../../src/core/tensor-bytes.ts';
import { createParameters, type Tensor } from '../../../src/core/tensor.ts';

const MODEL = { name: 'm', version: '1' };

const fp32 = (values: readonly number[], name = 'x', shape: readonly number[] = [values.length]): Tensor => ({
  name,
  datatype: 'FP32',
  shape,
  data: Float32Array.from(values),
});
const requestOf = (values: readonly number[], more: Partial<InferRequest> = {}): InferRequest => ({
  modelName: 'm',
  inputs: [fp32(values)],
  ...more,
});
const responseOf = (...values: number[]): InferResponse => ({ modelName: 'm', outputs: [fp32(values, 'y')] });

/** A run that the test ends. */
interface OpenRun {
  readonly ctx: RequestContext;
  readonly end: (response: InferResponse) => void;
  readonly fail: (error: Error) => void;
}

interface Setup {
  readonly cache: ResponseCache;
  readonly runs: OpenRun[];
  readonly lookups: boolean[];
  readonly bytes: () => number;
  /** Asks; `client` leaves when the test says so. */
  readonly ask: (
    request: InferRequest,
    options?: { readonly deadline?: number; readonly client?: AbortController; readonly model?: object },
  ) => Promise<InferResponse>;
  /** Asks, and the model answers at once. */
  readonly answer: (request: InferRequest, response?: InferResponse) => Promise<InferResponse>;
}

function setUp(settings: { readonly maxBytes?: number; readonly ttlMs?: number } = {}): Setup {
  const runs: OpenRun[] = [];
  const lookups: boolean[] = [];
  let bytes = 0;
  const cache = createResponseCache(
    { maxBytes: 1 << 20, ttlMs: Infinity, ...settings },
    { cacheLookedUp: ({ isHit }) => lookups.push(isHit), cacheSized: (_, added) => (bytes += added) },
  );
  const ask: Setup['ask'] = (request, { deadline = Infinity, client = new AbortController(), model = MODEL } = {}) => {
    const ctx: RequestContext = { id: 'c', protocol: 'v2-rest', signal: client.signal, deadline, headers: {} };
    return cache.answer(model as typeof MODEL, request, ctx, (runCtx) => {
      return new Promise((end, fail) => {
        runs.push({ ctx: runCtx, end, fail });
        // As the scheduler does.
        runCtx.signal.addEventListener('abort', () => {
          fail(new ServingError('cancelled', 'told to stop'));
        });
      });
    });
  };
  const answer: Setup['answer'] = (request, response = responseOf(1)) => {
    const before = runs.length;
    const answered = ask(request);
    if (runs.length > before) runs.at(-1)!.end(response);
    return answered;
  };
  return { cache, runs, lookups, bytes: () => bytes, ask, answer };
}

describe('response cache', () => {
  it('answers an equal request without a run', async () => {
    const { answer, runs, lookups, bytes } = setUp();
    expect(await answer(requestOf([1, 2]), responseOf(7, 8))).toEqual(responseOf(7, 8));
    expect(await answer(requestOf([1, 2], { id: 'another', parameters: createParameters([['timeout', 5]]) }))).toEqual(responseOf(7, 8));
    expect(runs.length).toBe(1);
    expect(lookups).toEqual([false, true]);
    expect(bytes()).toBeGreaterThanOrEqual(8);
  });

  it.each<[string, InferRequest]>([
    ['bytes', requestOf([1, 3])],
    ['shape', { modelName: 'm', inputs: [fp32([1, 2], 'x', [2, 1])] }],
    ['name', { modelName: 'm', inputs: [fp32([1, 2], 'z')] }],
    ['datatype', { modelName: 'm', inputs: [{ name: 'x', datatype: 'INT32', shape: [2], data: new Int32Array(Float32Array.of(1, 2).buffer) }] }],
    ['parameter', requestOf([1, 2], { parameters: createParameters([['temperature', 1]]) })],
    ["parameter's type", requestOf([1, 2], { parameters: createParameters([['temperature', '1']]) })],
    ['wanted output', requestOf([1, 2], { outputs: [{ name: 'y' }] })],
    ['further input', { modelName: 'm', inputs: [fp32([1, 2]), fp32([])] }],
    ['body', { modelName: 'm', inputs: [], body: { contentType: 'text/plain', bytes: new Uint8Array(Float32Array.of(1, 2).buffer) } }],
  ])('runs the model for a request with another %s', async (_, other) => {
    const { answer, runs } = setUp();
    await answer(requestOf([1, 2]));
    await answer(other, responseOf(9));
    expect(runs.length).toBe(2);
    expect(await answer(other)).toEqual(responseOf(9));
    expect(runs.length).toBe(2);
  });

  it('tells any two lists of texts apart', async () => {
    const texts = fc.array(fc.string({ maxLength: 4 }), { maxLength: 4 });
    const property = fc.asyncProperty(texts, texts, async (a, b) => {
      const { answer, runs } = setUp();
      const of = (list: readonly string[]): InferRequest => {
        const data = bytesFromElements(list.map((text) => new TextEncoder().encode(text)));
        return { modelName: 'm', inputs: [{ name: 'x', datatype: 'BYTES', shape: [list.length], data }] };
      };
      await answer(of(a));
      await answer(of(b));
      expect(runs.length).toBe(JSON.stringify(a) === JSON.stringify(b) ? 1 : 2);
    });
    await fc.assert(property, { numRuns: 200 });
  });

  it('keeps a copy of its own, without the batch that an answer was a row of', async () => {
    const { answer, bytes } = setUp();
    const batch = Float32Array.from({ length: 1000 }, (_, i) => i);
    const response: InferResponse = { modelName: 'm', outputs: [{ name: 'y', datatype: 'FP32', shape: [2], data: batch.subarray(4, 6) }] };
    await answer(requestOf([1]), response);
    batch.fill(0);
    expect(bytes()).toBeLessThan(2000);
    const kept = await answer(requestOf([1]));
    expect(kept.outputs[0]?.data).toEqual(Float32Array.of(4, 5));
    expect((kept.outputs[0]?.data as Float32Array).buffer.byteLength).toBe(8);
  });

  it('lets the least recently used go for new ones, within its bytes', async () => {
    const { answer, runs, bytes } = setUp({ maxBytes: 3 * (1024 + 4) });
    for (const value of [1, 2, 3, 1, 4]) await answer(requestOf([value]));
    expect(runs.length).toBe(4);
    expect(bytes()).toBe(3 * (1024 + 4));
    await answer(requestOf([1]));
    expect(runs.length).toBe(4);
    await answer(requestOf([2]));
    expect(runs.length).toBe(5);
  });

  it('does not keep an answer larger than all it may keep', async () => {
    const { answer, runs, bytes } = setUp({ maxBytes: 2000 });
    for (let i = 0; i < 2; i++) await answer(requestOf([1]), { modelName: 'm', outputs: [fp32(Array.from({ length: 500 }, () => 1))] });
    expect(runs.length).toBe(2);
    expect(bytes()).toBe(0);
  });

  it('keeps no errors', async () => {
    const { ask, answer, runs } = setUp();
    const failed = ask(requestOf([1]));
    runs[0]!.fail(new ServingError('model_failed', 'broken'));
    await expect(failed).rejects.toThrow('broken');
    expect(await answer(requestOf([1]), responseOf(2))).toEqual(responseOf(2));
  });

  it('is empty after the model was loaded anew, and keeps nothing that the old one still answers', async () => {
    const { ask, runs, bytes, cache, answer } = setUp();
    await answer(requestOf([1]));
    const late = ask(requestOf([2]));
    const reloaded = { ...MODEL };
    const anew = ask(requestOf([1]), { model: reloaded });
    expect(runs.length).toBe(3);
    runs[1]!.end(responseOf(20));
    expect(await late).toEqual(responseOf(20));
    expect(bytes()).toBe(0);
    runs[2]!.end(responseOf(10));
    expect(await anew).toEqual(responseOf(10));
    expect(bytes()).toBeGreaterThan(0);
    cache.forget('m');
    expect(bytes()).toBe(0);
  });

  describe('while equal requests are under way', () => {
    it('runs the model once for all of them', async () => {
      const { ask, runs, lookups } = setUp();
      const asked = [1, 2, 3].map(() => ask(requestOf([1])));
      expect(runs.length).toBe(1);
      runs[0]!.end(responseOf(5));
      expect(await Promise.all(asked)).toEqual([responseOf(5), responseOf(5), responseOf(5)]);
      expect(lookups).toEqual([false, true, true]);
    });

    it('goes on when the one that began leaves, and stops when the last has left', async () => {
      const { ask, runs } = setUp();
      const [first, second] = [new AbortController(), new AbortController()];
      const asked = [ask(requestOf([1]), { client: first }), ask(requestOf([1]), { client: second })];
      first.abort();
      await expect(asked[0]).rejects.toMatchObject({ reason: 'cancelled' });
      expect(runs[0]!.ctx.signal.aborted).toBe(false);
      second.abort();
      await expect(asked[1]).rejects.toMatchObject({ reason: 'cancelled' });
      expect(runs[0]!.ctx.signal.aborted).toBe(true);
    });

    it('gives the answer to those who stay', async () => {
      const { ask, runs } = setUp();
      const client = new AbortController();
      const leaving = ask(requestOf([1]), { client });
      const staying = ask(requestOf([1]));
      client.abort();
      await expect(leaving).rejects.toMatchObject({ reason: 'cancelled' });
      runs[0]!.end(responseOf(5));
      expect(await staying).toEqual(responseOf(5));
    });

    it('begins anew for who asks after all have left', async () => {
      const { ask, runs } = setUp();
      const client = new AbortController();
      const left = ask(requestOf([1]), { client });
      client.abort();
      const next = ask(requestOf([1]));
      await expect(left).rejects.toMatchObject({ reason: 'cancelled' });
      const again = ask(requestOf([1]));
      runs.at(-1)!.end(responseOf(6));
      expect(await again).toEqual(responseOf(6));
      await expect(next.catch((error: unknown) => error)).resolves.toBeDefined();
    });

    it('tells each of its error', async () => {
      const { ask, runs } = setUp();
      const asked = [ask(requestOf([1])), ask(requestOf([1]))];
      runs[0]!.fail(new ServingError('overloaded', 'full'));
      for (const one of asked) await expect(one).rejects.toMatchObject({ reason: 'overloaded' });
    });
  });

  describe('with deadlines', () => {
    beforeEach(() => {
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    });
    afterEach(() => {
      vi.useRealTimers();
    });

    it('forgets an answer when its time is over', async () => {
      const { answer, runs, bytes } = setUp({ ttlMs: 1000 });
      await answer(requestOf([1]));
      vi.advanceTimersByTime(999);
      await answer(requestOf([1]));
      expect(runs.length).toBe(1);
      vi.advanceTimersByTime(1);
      await answer(requestOf([1]));
      expect(runs.length).toBe(2);
      expect(bytes()).toBe(1024 + 4);
    });

    it('gives up a request whose deadline passes while the run of another goes on', async () => {
      const { ask, runs } = setUp();
      const now = performance.now();
      const patient = ask(requestOf([1]), { deadline: now + 1000 });
      const hasty = ask(requestOf([1]), { deadline: now + 100 });
      const given = expect(hasty).rejects.toMatchObject({ reason: 'deadline_exceeded' });
      await vi.advanceTimersByTimeAsync(100);
      await given;
      runs[0]!.end(responseOf(3));
      expect(await patient).toEqual(responseOf(3));
    });

    it('runs a request itself when the one that began has run out of time', async () => {
      const { ask, runs } = setUp();
      const now = performance.now();
      const hasty = ask(requestOf([1]), { deadline: now + 100 });
      const patient = ask(requestOf([1]), { deadline: now + 1000 });
      await vi.advanceTimersByTimeAsync(100);
      runs[0]!.fail(new ServingError('deadline_exceeded', 'late'));
      await expect(hasty).rejects.toMatchObject({ reason: 'deadline_exceeded' });
      await vi.advanceTimersByTimeAsync(0);
      expect(runs.length).toBe(2);
      runs[1]!.end(responseOf(4));
      expect(await patient).toEqual(responseOf(4));
    });
  });
});
