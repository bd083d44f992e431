import type { Batch, BatchMember, BatchResult, Settled, StageTimings } from '../core/batch.ts';
import type { Logger } from '../core/context.ts';
import { modelNotReady, ServingError, toServingError } from '../core/errors.ts';
import type { InferResponse } from '../core/infer.ts';
import type { Capabilities, Signature } from '../core/metadata.ts';
import type { LoadContext } from '../handler/index.ts';
import { HandlerCall } from './handler-call.ts';
import { handlerFault } from './handler-fault.ts';
import type { HandlerMetrics } from './handler-metrics.ts';
import { HandlerRun, type HandlerParts } from './handler-run.ts';
import type { Pipeline } from './pipeline.ts';
import { runAs } from './running-request.ts';
import { StuckCalls } from './stuck-calls.ts';

export interface HandlerPipelineParts extends HandlerParts {
  readonly signature: Signature;
  readonly concurrency: number;
  readonly maxStuck: number;
  readonly shared: LoadContext;
  readonly metrics: HandlerMetrics;
  readonly log: Logger;
}

/** A pipeline through a handler that has been loaded, around a model that it owns from now on. Members of a batch run side by side. */
export function createHandlerPipeline(parts: HandlerPipelineParts): Pipeline {
  return new HandlerPipeline(parts);
}

class HandlerPipeline implements Pipeline {
  readonly #parts: HandlerPipelineParts;
  readonly #stuck: StuckCalls;
  readonly signature: Signature;
  readonly capabilities: Capabilities;
  readonly platform: string;
  readonly properties: Readonly<Record<string, string>>;
  readonly isConcurrent = true;
  readonly concurrency: number;
  readonly isRetryable: boolean;
  #disposed: Promise<void> | undefined;

  constructor(parts: HandlerPipelineParts) {
    const { handler, model } = parts;
    this.#parts = parts;
    this.#stuck = new StuckCalls(parts.maxStuck);
    this.signature = parts.signature;
    this.capabilities = {
      accepts: (handler.accepts ?? []).map((type) => type.toLowerCase()),
      explains: handler.explain !== undefined,
      runsUserCode: true,
      // A predictor elsewhere may be another one by the next request.
      ...(handler.isPure === true && model?.isElsewhere !== true ? { isPure: true } : {}),
    };
    this.platform = model?.platform ?? 'kserve-node_handler';
    this.properties = { ...model?.properties, handler: parts.file };
    this.concurrency = parts.concurrency;
    this.isRetryable = handler.isIdempotent ?? true;
  }

  async run(batch: Batch): Promise<BatchResult> {
    const settled = await Promise.all(batch.members.map((member) => this.#settle(member)));
    const measurements = this.#parts.metrics.take();
    return {
      responses: settled.map(({ response }) => response),
      timings: longest(settled),
      executions: this.#parts.model?.takeExecutions?.() ?? [],
      ...(measurements === undefined ? undefined : { measurements }),
      ...(this.#stuck.isWornOut ? { isWornOut: true } : undefined),
    };
  }

  dispose(): Promise<void> {
    this.#disposed ??= this.#dispose();
    return this.#disposed;
  }

  /** Settles when user code has come to an end, or when its signal aborts: a call that does not heed it costs its own request only. */
  #settle(member: BatchMember): Promise<SettledMember> {
    const { modelName, shared } = this.#parts;
    if (this.#disposed !== undefined) return Promise.resolve(failed(modelNotReady(modelName)));
    if (member.signal.aborted) return Promise.resolve(failed(new ServingError('cancelled', `Cancelled before model "${modelName}" ran`)));
    const call = new HandlerCall(shared, member);
    const run = new HandlerRun(this.#parts, member, call);
    return new Promise((resolve) => {
      const giveUp = (): void => {
        this.#stuck.add(run);
        resolve({
          response: { ok: false, error: new ServingError('cancelled', `Cancelled while the handler was in ${run.method}`) },
          timings: run.timings,
        });
      };
      const settle = (response: Settled<InferResponse>): void => {
        this.#stuck.delete(run);
        member.signal.removeEventListener('abort', giveUp);
        resolve({ response, timings: run.timings });
      };
      member.signal.addEventListener('abort', giveUp);
      runAs(call, () => run.answer()).then(
        (value) => {
          settle({ ok: true, value });
        },
        (thrown: unknown) => {
          settle({ ok: false, error: toServingError(thrown) });
        },
      );
    });
  }

  async #dispose(): Promise<void> {
    const { handler, file, model, shared, log, modelName } = this.#parts;
    try {
      await runAs({ modelName, requestId: undefined, log }, () => endedWithin(UNLOAD_TIMEOUT_MS, async () => handler.unload?.(shared)));
    } catch (thrown) {
      log.error({ err: handlerFault(file, 'unload', thrown) }, `Handler ${file} failed in unload`);
    }
    await model?.dispose();
  }
}

interface SettledMember {
  readonly response: Settled<InferResponse>;
  readonly timings: StageTimings;
}

const NO_TIME: StageTimings = { preprocessMs: 0, predictMs: 0, postprocessMs: 0 };

function failed(error: ServingError): SettledMember {
  return { response: { ok: false, error }, timings: NO_TIME };
}

/** Members run side by side: the batch takes as long as the longest of each stage. */
function longest(settled: readonly SettledMember[]): StageTimings {
  const [only] = settled;
  if (only !== undefined && settled.length === 1) return only.timings;
  let { preprocessMs, predictMs, postprocessMs } = NO_TIME;
  let explainMs: number | undefined;
  for (const { timings } of settled) {
    preprocessMs = Math.max(preprocessMs, timings.preprocessMs);
    predictMs = Math.max(predictMs, timings.predictMs);
    postprocessMs = Math.max(postprocessMs, timings.postprocessMs);
    if (timings.explainMs !== undefined) explainMs = Math.max(explainMs ?? 0, timings.explainMs);
  }
  const timings = { preprocessMs, predictMs, postprocessMs };
  return explainMs === undefined ? timings : { ...timings, explainMs };
}

const UNLOAD_TIMEOUT_MS = 5000;

async function endedWithin(timeoutMs: number, work: () => Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`it did not end within ${timeoutMs / 1000} s`));
    }, timeoutMs);
  });
  try {
    await Promise.race([work(), timeout]);
  } finally {
    clearTimeout(timer);
  }
}
