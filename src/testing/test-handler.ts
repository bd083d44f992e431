import { join, resolve } from 'node:path';
import type { Measurement } from '../core/batch.ts';
import type { Logger } from '../core/context.ts';
import { ServingError } from '../core/errors.ts';
import { createDataplane } from '../dataplane/index.ts';
import type { DefinedHandler, ModelTypes } from '../handler/index.ts';
import { loadPipeline } from '../pipeline/index.ts';
import { createScheduler } from '../scheduler/index.ts';
import { fakeModel, type FakeModel, type FakeNext } from './fake-model.ts';
import { oneModelRepository } from './one-model.ts';
import { testedHandler, type LogRecord, type TestedHandler } from './tested-handler.ts';

export interface TestOptions {
  /** Directory or file of the model that `next` runs. */
  readonly modelDir?: string;
  /** Stands in for the model, or for the predictor elsewhere. */
  readonly next?: FakeNext;
  /** What the model behind `next` takes and gives: in `ctx.model`, and checked. */
  readonly model?: FakeModel;
  /** `model` when absent. */
  readonly modelName?: string;
  /** `ctx.files` without a model directory; the working directory when absent. */
  readonly files?: string;
}

const VERSION = '1';
const CONCURRENCY = 64;
const ENGINE_OPTIONS = { onnxBinding: 'auto', provider: 'cpu', intraOpThreads: 1, interOpThreads: 1 } as const;
const CLOSE_MS = 5000;

/**
 * Loads a handler as the server does, in this process and without ports. `C` are the tensors that clients send and get; the model's own types unless the handler
 * changes them. The caller closes it.
 *
 *     const tested = await testHandler<Digits>(handler, { modelDir: 'model' });
 *     const response = await tested.infer([tensor('input', 'FP32', [1, 64], pixels)]);
 *     assert.equal(response.output('label', 'INT64')[0], 7n);
 *     await tested.close();
 *
 * Rejects with ServingError when the handler or the model cannot be loaded: one line.
 */
export async function testHandler<C extends ModelTypes = ModelTypes>(handler: DefinedHandler, options: TestOptions = {}): Promise<TestedHandler<C>> {
  const { modelName = 'model', modelDir, next, model } = options;
  if (modelDir !== undefined && next !== undefined) {
    throw new ServingError('invalid_request', 'Cannot test a handler with both modelDir and next: the model is the real one, or a stand-in');
  }
  const logs: LogRecord[] = [];
  const measurements: Measurement[] = [];
  const log = recorder(logs, {});
  const spec = {
    modelName,
    modelVersion: VERSION,
    ...(modelDir === undefined ? {} : { source: { path: resolve(modelDir) } }),
    engineOptions: ENGINE_OPTIONS,
    handler: { path: join(resolve(options.files ?? '.'), 'handler'), concurrency: CONCURRENCY, engineRuns: 1, maxStuck: CONCURRENCY },
  };
  const pipeline = await loadPipeline(spec, { log, handler, ...(next === undefined ? {} : { model: fakeModel(next, model) }) });
  const { signature, capabilities, platform, properties } = pipeline;
  const runner = { capacity: CONCURRENCY, onCapacityChange: () => undefined, run: pipeline.run.bind(pipeline) };
  const observer = { measured: (measured: readonly Measurement[]) => void measurements.push(...measured) };
  const scheduler = createScheduler({ modelName, maxQueueSize: 1000 }, { runner, observer, log });
  const served = { name: modelName, version: VERSION, signature, capabilities, platform, properties, scheduler, isReady: true };
  const dataplane = createDataplane(
    { requestTimeoutMs: Infinity, serverName: 'kserve-node', version: VERSION },
    { repository: oneModelRepository(served) },
  );
  const close = async (): Promise<void> => {
    await scheduler.drain(CLOSE_MS);
    await pipeline.dispose();
  };
  return testedHandler<C>({ modelName, signature, capabilities, logs, measurements, dataplane, close });
}

function recorder(logs: LogRecord[], bound: object): Logger {
  const record =
    (level: LogRecord['level']) =>
    (fields: object, message: string): void => {
      logs.push({ level, message, fields: { ...bound, ...fields } });
    };
  return {
    debug: record('debug'),
    info: record('info'),
    warn: record('warn'),
    error: record('error'),
    child: (fields) => recorder(logs, { ...bound, ...fields }),
  };
}
