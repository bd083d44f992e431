import type { BatchResult } from '../core/batch.ts';
import type { Logger } from '../core/context.ts';
import { ServingError, toServingError } from '../core/errors.ts';
import { liesIn, releaseBuffer, releaseOutputs } from '../core/release.ts';
import { StopSource } from '../core/stop-signal.ts';
import { attributeRejection, type Pipeline, type PipelineDependencies, type PipelineSpec } from '../pipeline/index.ts';
import { decodeBatch, encodeError, encodeResult } from './batch-codec.ts';
import { Channel, type FrameStream } from './channel.ts';
import type { Frame } from './frame.ts';
import { createFrameLogger } from './frame-log.ts';
import { encodeLoaded } from './loaded-codec.ts';
import { failBatch } from './running-batch.ts';
import { asRecord, malformed } from './tensor-codec.ts';

export interface ChildHostDependencies {
  readonly buildId: string;
  readonly loadPipeline: (spec: PipelineSpec, deps: PipelineDependencies) => Promise<Pipeline>;
  /** Ends the process; the text, when there is one, is for the parent's log. */
  readonly exit: (code: number, lastWords?: string) => void;
  /** Told after each run. */
  readonly answered?: () => void;
}

/** What the process has to ask of the models it runs. */
export interface PipelineHost {
  /** Logs a promise of user code that was rejected and nobody handled; false where there is no user code that could have left it. */
  takeRejection(reason: unknown): boolean;
}

/** The child's side: does what the parent's frames say, over the socket it was started with. Says hello at once. */
export function hostPipelines(socket: FrameStream, deps: ChildHostDependencies): PipelineHost {
  return new ChildHost(socket, deps);
}

class ChildHost implements PipelineHost {
  readonly #deps: ChildHostDependencies;
  readonly #channel: Channel;
  readonly #log: Logger;
  readonly #pipelines = new Map<number, Pipeline>();
  readonly #runs = new Map<number, readonly StopSource[]>();
  #hasUserCode = false;

  constructor(socket: FrameStream, deps: ChildHostDependencies) {
    this.#deps = deps;
    this.#channel = new Channel(
      socket,
      {
        take: (frame) => {
          this.#take(frame);
        },
        fail: (error) => {
          deps.exit(1, String(error));
        },
        // Without a parent there is nobody to work for.
        end: () => {
          deps.exit(0);
        },
      },
      { pausesWhenFull: true },
    );
    this.#log = createFrameLogger(this.#channel);
    this.#channel.send('hello', 0, 0, { build: deps.buildId, pid: process.pid });
  }

  takeRejection(reason: unknown): boolean {
    if (!this.#hasUserCode) return false;
    if (!attributeRejection(reason)) this.#log.error({ err: reason }, 'A promise was rejected and nobody caught it');
    return true;
  }

  #take(frame: Frame): void {
    this.#handle(frame).catch((error: unknown) => {
      this.#deps.exit(1, String(error));
    });
  }

  /** Rejects on what a correct parent never sends. */
  async #handle(frame: Frame): Promise<void> {
    switch (frame.kind) {
      case 'load':
        return this.#load(frame.model, asRecord(frame.metadata, 'specification') as unknown as PipelineSpec);
      case 'unload':
        return this.#unload(frame.model);
      case 'run':
        return this.#run(frame);
      case 'cancel':
        this.#cancel(frame);
        return;
      case 'stop':
        return this.#stop();
      default:
        throw malformed(`frame: kind ${frame.kind} comes from children only`);
    }
  }

  async #load(model: number, spec: PipelineSpec): Promise<void> {
    this.#hasUserCode ||= spec.handler !== undefined;
    try {
      const pipeline = await this.#deps.loadPipeline(spec, { log: this.#log });
      this.#pipelines.set(model, pipeline);
      this.#channel.send('loaded', model, 0, encodeLoaded(pipeline));
    } catch (error) {
      this.#channel.send('error', model, 0, encodeError(toServingError(error, 'model_failed', `Cannot load model "${spec.modelName}"`)));
    }
  }

  async #unload(model: number): Promise<void> {
    const pipeline = this.#pipelines.get(model);
    this.#pipelines.delete(model);
    await pipeline?.dispose();
    this.#channel.send('unloaded', model, 0, {});
  }

  async #run(frame: Frame): Promise<void> {
    const pipeline = this.#pipelines.get(frame.model);
    if (pipeline === undefined) throw malformed('run: no such model');
    const signals: StopSource[] = [];
    const batch = decodeBatch(frame, () => {
      const signal = new StopSource();
      signals.push(signal);
      return signal;
    });
    this.#runs.set(frame.request, signals);
    const result = await pipeline.run(batch);
    this.#runs.delete(frame.request);
    const written = pipeline.capabilities.runsUserCode === true ? undefined : releaseOf(result);
    try {
      const { metadata, tensors } = encodeResult(result);
      this.#channel.send('reply', frame.model, frame.request, metadata, tensors, written);
      this.#deps.answered?.();
    } catch (error) {
      const failed = failBatch(batch, new ServingError('model_failed', 'The outputs do not fit one frame', { cause: error }));
      this.#channel.send('reply', frame.model, frame.request, encodeResult(failed).metadata);
    }
    // An answer means that nothing computes on its inputs any more; user code may hold on to what it saw.
    if (written !== undefined) releaseInputs(frame, result);
  }

  /** A run that has ended meanwhile has nothing left to cancel. */
  #cancel(frame: Frame): void {
    const { member } = asRecord(frame.metadata, 'cancellation');
    if (typeof member !== 'number') throw malformed('cancellation');
    this.#runs.get(frame.request)?.[member]?.abort(new ServingError('cancelled', 'Nobody waits for the answer any more'));
  }

  async #stop(): Promise<void> {
    await Promise.all([...this.#pipelines.values()].map((pipeline) => pipeline.dispose()));
    this.#deps.exit(0);
  }
}

function releaseInputs({ large }: Frame, { responses }: BatchResult): void {
  for (const buffer of large) {
    if (responses.every((settled) => settled.ok && !settled.value.outputs.some((output) => liesIn(output, buffer)))) releaseBuffer(buffer);
  }
}

/** Gives back the memory of the outputs, once they are written. */
function releaseOf({ responses }: BatchResult): () => void {
  return () => {
    for (const settled of responses) if (settled.ok) releaseOutputs(settled.value.outputs);
  };
}
