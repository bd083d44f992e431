import { Duplex } from 'node:stream';
import { describe, expect, test } from 'vitest';
import type { Batch, BatchResult } from '../../../src/core/batch.ts';
import { ServingError } from '../../../src/core/errors.ts';
import type { InferRequest } from '../../../src/core/infer.ts';
import { NO_CAPABILITIES } from '../../../src/core/metadata.ts';
import { decodeResult, encodeBatch } from '../../../src/executor/batch-codec.ts';
import { hostPipelines } from '../../../src/executor/child-host.ts';
import { createDeferred } from '../../../src/executor/deferred.ts';
import { encodeFrame, FrameReader, type Frame, type FrameKind } from '../../../src/executor/frame.ts';
import type { Pipeline } from '../../../src/pipeline/index.ts';
import { memberOf } from './member.ts';

/** Two ends of a pipe inside this process. */
function pipePair(): [Duplex, Duplex] {
  const ends: Duplex[] = [];
  const end = (other: number): Duplex =>
    new Duplex({
      allowHalfOpen: false,
      read: () => undefined,
      write: (chunk, _encoding, done) => {
        ends[other]!.push(chunk);
        done();
      },
      final: (done) => {
        ends[other]!.push(null);
        done();
      },
    });
  ends.push(end(1), end(0));
  return [ends[0]!, ends[1]!];
}

interface Exit {
  readonly code: number;
  readonly lastWords: string | undefined;
}

class Parent {
  readonly exited = createDeferred<Exit>();
  readonly #socket: Duplex;
  readonly #frames: Frame[] = [];
  #wake: () => void = () => undefined;

  constructor(load: (name: string) => Promise<Pipeline>) {
    const [here, there] = pipePair();
    this.#socket = here;
    const reader = new FrameReader((frame) => this.#frames.push(frame));
    here.on('data', (chunk: Uint8Array) => {
      reader.push(chunk);
      this.#wake();
    });
    hostPipelines(there, {
      buildId: 'b1',
      loadPipeline: ({ modelName }) => load(modelName),
      exit: (code, lastWords) => {
        this.exited.resolve({ code, lastWords });
      },
    });
  }

  send(kind: FrameKind, model: number, request: number, metadata: unknown, tensors?: readonly Uint8Array[]): void {
    for (const chunk of encodeFrame({ kind, model, request }, metadata, tensors)) this.#socket.write(chunk);
  }

  sendRaw(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  run(model: number, request: number, requests: readonly InferRequest[]): void {
    const { metadata, tensors } = encodeBatch(
      requests.map((one) => memberOf(one)),
      false,
    );
    this.send('run', model, request, metadata, tensors);
  }

  async next(kind: FrameKind): Promise<Frame> {
    for (;;) {
      const at = this.#frames.findIndex((frame) => frame.kind === kind);
      if (at !== -1) return this.#frames.splice(at, 1)[0]!;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  leave(): void {
    this.#socket.end();
  }
}

const timings = { preprocessMs: 0, predictMs: 0, postprocessMs: 0 };
const echo = (batch: Batch): Promise<BatchResult> =>
  Promise.resolve({ responses: batch.members.map(({ request }) => ({ ok: true, value: { modelName: 'm', outputs: request.inputs } })), timings });
const pipeline = (parts: Partial<Pipeline> = {}): Pipeline => ({
  signature: { inputs: [], outputs: [] },
  capabilities: NO_CAPABILITIES,
  platform: 'p',
  properties: {},
  isConcurrent: true,
  isRetryable: false,
  run: echo,
  dispose: () => Promise.resolve(),
  ...parts,
});
const request: InferRequest = { modelName: 'm', inputs: [{ name: 'x', datatype: 'INT8', shape: [0, 2], data: new Int8Array(0) }] };

describe('the child of the process executor', () => {
  test('says hello with its build, loads, runs and unloads', async () => {
    const disposed = createDeferred<undefined>();
    const parent = new Parent(() =>
      Promise.resolve(
        pipeline({
          dispose: () => {
            disposed.resolve(undefined);
            return Promise.resolve();
          },
        }),
      ),
    );
    expect((await parent.next('hello')).metadata).toEqual({ build: 'b1', pid: process.pid });
    parent.send('load', 4, 0, { modelName: 'm' });
    expect(await parent.next('loaded')).toMatchObject({ model: 4, metadata: { platform: 'p', isConcurrent: true } });
    parent.run(4, 9, [request, request]);
    const reply = await parent.next('reply');
    expect(reply).toMatchObject({ model: 4, request: 9 });
    expect(decodeResult(reply, 2).responses).toMatchObject([{ value: { outputs: request.inputs } }, { value: { outputs: request.inputs } }]);
    parent.send('unload', 4, 0, {});
    expect((await parent.next('unloaded')).model).toBe(4);
    await disposed.promise;
  });

  test('answers a failed load with its reason and stays', async () => {
    const parent = new Parent((name) => Promise.reject(name === 'a' ? new ServingError('model_failed', 'no file') : new TypeError('x')));
    parent.send('load', 1, 0, { modelName: 'a' });
    expect((await parent.next('error')).metadata).toEqual({ reason: 'model_failed', message: 'no file' });
    parent.send('load', 2, 0, { modelName: 'b' });
    expect((await parent.next('error')).metadata).toMatchObject({ reason: 'model_failed', message: 'Cannot load model "b"' });
  });

  test('hands a cancellation to its member alone', async () => {
    const parent = new Parent(() =>
      Promise.resolve(
        pipeline({
          run: async (batch) => {
            await new Promise<void>((resolve) => {
              batch.members[1]!.signal.addEventListener('abort', resolve);
            });
            const responses = batch.members.map(({ signal }) =>
              signal.aborted
                ? ({ ok: false, error: new ServingError('cancelled', 'stopped') } as const)
                : ({ ok: true, value: { modelName: 'm', outputs: [] } } as const),
            );
            return { responses, timings };
          },
        }),
      ),
    );
    parent.send('load', 1, 0, { modelName: 'm' });
    await parent.next('loaded');
    parent.run(1, 5, [request, request]);
    parent.send('cancel', 1, 77, { member: 0 });
    parent.send('cancel', 1, 5, { member: 9 });
    parent.send('cancel', 1, 5, { member: 1 });
    expect(decodeResult(await parent.next('reply'), 2).responses).toMatchObject([{ ok: true }, { ok: false, error: { reason: 'cancelled' } }]);
  });

  test('frees its models before it exits when told to stop', async () => {
    const order: string[] = [];
    const parent = new Parent(() =>
      Promise.resolve(
        pipeline({
          dispose: () => {
            order.push('disposed');
            return Promise.resolve();
          },
        }),
      ),
    );
    parent.send('load', 1, 0, { modelName: 'm' });
    await parent.next('loaded');
    parent.send('stop', 0, 0, {});
    expect(await parent.exited.promise).toEqual({ code: 0, lastWords: undefined });
    expect(order).toEqual(['disposed']);
  });

  test('exits when its parent is gone', async () => {
    const parent = new Parent(() => Promise.resolve(pipeline()));
    await parent.next('hello');
    parent.leave();
    expect((await parent.exited.promise).code).toBe(0);
  });

  test.each<[string, (parent: Parent) => void]>([
    [
      'bytes that are no frame',
      (parent) => {
        parent.sendRaw(new Uint8Array(64).fill(0xff));
      },
    ],
    [
      'a frame that only children send',
      (parent) => {
        parent.send('loaded', 1, 0, {});
      },
    ],
    [
      'a run of a model that is not there',
      (parent) => {
        parent.run(8, 1, [request]);
      },
    ],
    [
      'a cancellation without a member',
      (parent) => {
        parent.send('cancel', 1, 1, {});
      },
    ],
  ])('exits with a reason on %s', async (_what, act) => {
    const parent = new Parent(() => Promise.resolve(pipeline()));
    act(parent);
    const { code, lastWords } = await parent.exited.promise;
    expect(code).toBe(1);
    expect(lastWords).toMatch(/Cannot read frame/);
  });
});
