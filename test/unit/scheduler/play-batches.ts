import fc from 'fast-check';
import { expect } from 'vitest';
import type { Batch } from '../../../src/core/batch.ts';
import { SILENT_LOGGER } from '../../../src/core/context.ts';
import { ServingError, isServingError, type ErrorReason } from '../../../src/core/errors.ts';
import { StopSource, type StopSignal } from '../../../src/core/stop-signal.ts';
import type { Tensor } from '../../../src/core/tensor.ts';
import type { EngineSession } from '../../../src/engine/index.ts';
import { HostedModel, type ModelHost } from '../../../src/executor/hosted-model.ts';
import { loseBatch, type HostResult } from '../../../src/executor/running-batch.ts';
import { createPipeline } from '../../../src/pipeline/session-pipeline.ts';
import { createScheduler } from '../../../src/scheduler/index.ts';
import { VirtualClock } from './virtual-clock.ts';

interface PlannedRequest {
  readonly arrivesAt: number;
  readonly deadlineAfter: number | undefined;
  readonly cancelAfter: number | undefined;
  readonly rows: number;
  readonly width: number;
  readonly priority: number;
  /** A run with its rows fails. */
  readonly isBad: boolean;
}

export interface BatchSchedule {
  readonly instances: number;
  readonly maxBatchSize: number;
  readonly maxQueueSize: number;
  readonly maxQueueDelayMs: number;
  readonly timeoutAction: 'reject' | 'delay';
  readonly queueTimeoutMs: number;
  /** Rows beyond which the engine refuses a run, out of memory. */
  readonly mostRows: number;
  readonly fixedMs: number;
  readonly rowMs: number;
  /** Whether a stopped run ends at once. */
  readonly stops: boolean;
  readonly isRetryable: boolean;
  readonly requests: readonly PlannedRequest[];
  readonly crashes: readonly { readonly at: number; readonly downMs: number }[];
  readonly drainAt: number;
  readonly graceMs: number;
}

const ms = (max: number): fc.Arbitrary<number> => fc.integer({ min: 0, max });
const maybe = (max: number): fc.Arbitrary<number | undefined> => fc.option(ms(max), { nil: undefined, freq: 3 });

export const BATCH_SCHEDULE: fc.Arbitrary<BatchSchedule> = fc.record({
  instances: fc.integer({ min: 1, max: 3 }),
  maxBatchSize: fc.integer({ min: 1, max: 8 }),
  maxQueueSize: fc.integer({ min: 1, max: 12 }),
  maxQueueDelayMs: fc.constantFrom(0, 0, 5),
  timeoutAction: fc.constantFrom('reject' as const, 'delay' as const),
  queueTimeoutMs: fc.constantFrom(Infinity, Infinity, 15),
  mostRows: fc.constantFrom(Infinity, Infinity, 3, 5),
  fixedMs: fc.integer({ min: 0, max: 12 }),
  rowMs: ms(4),
  stops: fc.boolean(),
  isRetryable: fc.boolean(),
  requests: fc.array(
    fc.record({
      // Crowds, too: without them a batch is hardly ever large.
      arrivesAt: fc.oneof(ms(60), fc.constantFrom(0, 20)),
      deadlineAfter: maybe(50),
      cancelAfter: maybe(40),
      rows: fc.constantFrom(0, 1, 1, 1, 2, 3),
      width: fc.constantFrom(1, 1, 1, 2, 3),
      priority: ms(3),
      isBad: fc.constantFrom(false, false, false, false, false, false, true),
    }),
    { maxLength: 24, size: 'max' },
  ),
  crashes: fc.array(fc.record({ at: ms(80), downMs: ms(15) }), { maxLength: 2 }),
  drainAt: ms(120),
  graceMs: ms(80),
});

const BAD = -1;

/** Numbers that no other request has. */
function rowsOf(index: number, { rows, width, isBad }: PlannedRequest): Float32Array {
  return Float32Array.from({ length: rows * width }, (_, at) => (isBad && at === 0 ? BAD : index * 100 + at));
}

/** y = 3 x + 1, on the virtual clock. */
class PlannedSession implements EngineSession {
  readonly signature = {
    inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, -1] }],
    outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, -1] }],
  } as const;
  readonly platform = 'planned';
  readonly properties = {};
  readonly isConcurrent = true;
  readonly isCancellable = true;
  inFlight = 0;
  peak = 0;
  readonly #schedule: BatchSchedule;
  readonly #clock: VirtualClock;

  constructor(schedule: BatchSchedule, clock: VirtualClock) {
    this.#schedule = schedule;
    this.#clock = clock;
  }

  run([x]: readonly Tensor[], _wanted: readonly string[], signal?: StopSignal): Promise<readonly Tensor[]> {
    const { shape, data } = x!;
    const { fixedMs, rowMs, stops, mostRows } = this.#schedule;
    const values = data as Float32Array;
    this.peak = Math.max(this.peak, ++this.inFlight);
    return new Promise((resolve, reject) => {
      const end = (): void => {
        cancelEnd();
        signal?.removeEventListener('abort', end);
        this.inFlight--;
        if (signal?.aborted === true) reject(new ServingError('cancelled', 'stopped'));
        else if (shape[0]! > mostRows) reject(new ServingError('model_failed', 'out of memory'));
        else if (values.includes(BAD)) reject(new ServingError('invalid_request', 'bad row'));
        else resolve([{ name: 'y', datatype: 'FP32', shape, data: values.map((value) => 3 * value + 1) }]);
      };
      const cancelEnd = this.#clock.setTimer(fixedMs + rowMs * shape[0]!, end);
      if (stops) signal?.addEventListener('abort', end);
    });
  }

  dispose(): Promise<void> {
    return Promise.resolve();
  }
}

/** A process that dies when told to; what it had is lost with it. */
class MortalHost implements ModelHost {
  readonly isConcurrent = true;
  readonly concurrency = undefined;
  readonly session: PlannedSession;
  readonly #pipeline: ReturnType<typeof createPipeline>;
  readonly #deaths: (() => void)[] = [];

  constructor(schedule: BatchSchedule, clock: VirtualClock) {
    this.session = new PlannedSession(schedule, clock);
    const batching = { mode: 'on', maxBatchSize: schedule.maxBatchSize } as const;
    this.#pipeline = createPipeline({ modelName: 'm', modelVersion: '1', batching }, this.session, SILENT_LOGGER);
  }

  run(batch: Batch): Promise<HostResult> {
    const lost = new Promise<HostResult>((resolve) => {
      this.#deaths.push(() => {
        resolve(loseBatch(batch, new ServingError('executor_lost', 'died')));
      });
    });
    return Promise.race([this.#pipeline.run(batch), lost]);
  }

  die(): void {
    for (const death of this.#deaths) death();
  }
}

/** Plays a schedule from the scheduler down to a fake engine, and checks what must hold of every one. */
export async function playBatches(schedule: BatchSchedule): Promise<void> {
  const clock = new VirtualClock();
  const { requests, instances } = schedule;
  let host = new MortalHost(schedule, clock);
  const hosts = [host];
  const facts = { signature: host.session.signature, capabilities: { accepts: [], explains: false }, platform: 'planned', properties: {} };
  const model = new HostedModel(
    { modelName: 'm', modelVersion: '1', engineOptions: { onnxBinding: 'auto', provider: 'cpu', intraOpThreads: 1, interOpThreads: 1 } },
    instances,
    { ...facts, isRetryable: schedule.isRetryable },
    () => Promise.resolve(),
  );
  model.moveTo(host);
  const { maxBatchSize, maxQueueDelayMs, queueTimeoutMs: timeoutMs, timeoutAction } = schedule;
  const scheduler = createScheduler(
    {
      modelName: 'm',
      maxQueueSize: schedule.maxQueueSize,
      countsRows: true,
      batching: { maxBatchSize, preferredBatchSizes: [], maxQueueDelayMs },
      queue: { priorityLevels: 2, defaultPriority: 1, timeoutMs, timeoutAction },
    },
    { runner: model, clock, log: SILENT_LOGGER },
  );
  const outcomes = new Map<number, string>();
  const settle = (index: number, outcome: string): void => {
    expect(outcomes.has(index)).toBe(false);
    outcomes.set(index, outcome);
  };
  requests.forEach((request, index) => {
    clock.setTimer(request.arrivesAt, () => {
      const client = new StopSource();
      const sent = rowsOf(index, request);
      const shape = [request.rows, request.width];
      // What lies on the performance clock for an executor is virtual here: it repeats what is not overdue there.
      const deadline = request.arrivesAt + (request.deadlineAfter ?? Infinity);
      const ctx = { id: String(index), protocol: 'v2-rest' as const, signal: client, deadline, headers: {} };
      const inferRequest = { modelName: 'm', id: String(index), inputs: [{ name: 'x', datatype: 'FP32' as const, shape, data: sent.slice() }] };
      scheduler.submit({ verb: 'infer', request: inferRequest, priority: request.priority }, ctx).then(
        ({ id, outputs }) => {
          expect([id, outputs[0]?.shape]).toEqual([String(index), shape]);
          expect(outputs[0]?.data).toEqual(sent.map((value) => 3 * value + 1));
          settle(index, 'ok');
        },
        (error: unknown) => {
          if (!isServingError(error)) throw error;
          settle(index, error.reason);
        },
      );
      if (request.cancelAfter !== undefined) {
        clock.setTimer(request.cancelAfter, () => {
          client.abort(undefined);
        });
      }
    });
  });
  for (const { at, downMs } of schedule.crashes) {
    clock.setTimer(at, () => {
      const dead = host;
      model.moveTo(undefined);
      dead.die();
      clock.setTimer(downMs, () => {
        host = new MortalHost(schedule, clock);
        hosts.push(host);
        model.moveTo(host);
      });
    });
  }
  let drained: Promise<void> | undefined;
  clock.setTimer(schedule.drainAt, () => {
    drained = scheduler.drain(schedule.graceMs);
  });
  await clock.advance(schedule.drainAt + schedule.graceMs);
  await drained;
  await clock.advance(2000);
  // Promises in a row, more than the clock waits for.
  await new Promise((resolve) => setImmediate(resolve));
  const allowed = (request: PlannedRequest): ReadonlySet<ErrorReason | 'ok'> => {
    const reasons = new Set<ErrorReason | 'ok'>(['server_not_ready', 'overloaded']);
    if (request.cancelAfter !== undefined) reasons.add('cancelled');
    if (request.deadlineAfter !== undefined || (timeoutMs !== Infinity && timeoutAction === 'reject')) reasons.add('deadline_exceeded');
    if (schedule.crashes.length > 0) reasons.add('executor_lost');
    // One request's failure is never another's.
    const fails = request.isBad && request.rows > 0;
    reasons.add(fails ? 'invalid_request' : 'ok');
    return reasons;
  };
  requests.forEach((request, index) => {
    expect([...allowed(request)], `request ${String(index)}`).toContain(outcomes.get(index));
  });
  expect([scheduler.queueDepth, scheduler.running, clock.timers]).toEqual([0, 0, 0]);
  for (const { session } of hosts) expect([session.inFlight, session.peak <= instances]).toEqual([0, true]);
}
