import type { ResponseCache } from '../cache/index.ts';
import type { RequestContext } from '../core/context.ts';
import { ServingError, toServingError, type ErrorReason } from '../core/errors.ts';
import type { InferRequest, InferResponse, Verb } from '../core/infer.ts';
import type { ModelIndexEntry, ModelMetadata, ServerMetadata } from '../core/metadata.ts';
import { loggableRequestId } from '../core/request-id.ts';
import type { ModelStatistics } from '../core/statistics.ts';
import type { ModelRepository, ServedModel } from '../repository/index.ts';
import type { Job } from '../scheduler/index.ts';
import { checkRequest } from './check-request.ts';
import type { DataplaneControl, DataplaneObserver, Explainer, ResolvedModel } from './dataplane.ts';
import { cannotExplain, runExplain } from './explain.ts';
import { readPriority, readTimeoutMs } from './schedule-parameters.ts';
import { selectOutputs } from './requested-outputs.ts';

export interface DataplaneOptions {
  /** Longest that any request may take, queue included; Infinity: no limit. */
  readonly requestTimeoutMs: number;
  /** A request whose own `timeout` is over lets the others of its model go first, instead of being given up. */
  readonly delaysOverdue?: boolean;
  readonly serverName: string;
  readonly version: string;
}

export interface DataplaneDependencies {
  readonly repository: ModelRepository;
  readonly observer?: DataplaneObserver;
  /** Explains the models whose handlers do not. */
  readonly explainer?: Explainer;
  /** Absent: every request is run. */
  readonly cache?: ResponseCache;
  /** Where the requests to a model that serves are counted; absent: nowhere. */
  readonly statistics?: (model: string, version: string) => ModelStatistics;
  /** Whether what the models depend on, such as a predictor elsewhere, is healthy; models are not ready when it is not. */
  readonly readiness?: () => boolean;
}

/** KServe's own name for load and unload, then Triton's names of the extensions of OIP. */
const EXTENSIONS = ['model_repository_extension', 'model_repository', 'binary_tensor_data', 'parameters', 'statistics'] as const;

const SILENT: DataplaneObserver = {};
const ALWAYS = (): boolean => true;

function noStatistics(): never {
  throw new ServingError('unimplemented', 'Cannot tell statistics: requests are not counted here');
}

export function createDataplane(options: DataplaneOptions, deps: DataplaneDependencies): DataplaneControl {
  return new RepositoryDataplane(options, deps);
}

class RepositoryDataplane implements DataplaneControl {
  readonly #requestTimeoutMs: number;
  readonly #delaysOverdue: boolean;
  readonly #serverMetadata: ServerMetadata;
  readonly #repository: ModelRepository;
  readonly #observer: DataplaneObserver;
  readonly #explainer: Explainer | undefined;
  readonly #cache: ResponseCache | undefined;
  readonly #statistics: NonNullable<DataplaneDependencies['statistics']>;
  readonly #isHealthy: () => boolean;
  #phase: 'serving' | 'leaving' | 'closed' = 'serving';
  #inFlight = 0;

  constructor(options: DataplaneOptions, deps: DataplaneDependencies) {
    this.#requestTimeoutMs = options.requestTimeoutMs;
    this.#delaysOverdue = options.delaysOverdue ?? false;
    this.#serverMetadata = Object.freeze({ name: options.serverName, version: options.version, extensions: EXTENSIONS });
    this.#repository = deps.repository;
    this.#observer = deps.observer ?? SILENT;
    this.#explainer = deps.explainer;
    this.#cache = deps.cache;
    this.#statistics = deps.statistics ?? noStatistics;
    this.#isHealthy = deps.readiness ?? ALWAYS;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  isLive(): boolean {
    return true;
  }

  isReady(): boolean {
    return this.#phase === 'serving' && this.#repository.isAllReady() && this.#isHealthy();
  }

  isModelReady(name: string, version?: string): boolean {
    return this.#repository.isReady(name, version) && this.#isHealthy();
  }

  serverMetadata(): ServerMetadata {
    return this.#serverMetadata;
  }

  modelMetadata(name: string, version?: string): ModelMetadata {
    const { version: served, signature, platform, properties } = this.#repository.find(name, version);
    return { name, versions: [served], platform, properties, inputs: signature.inputs, outputs: signature.outputs };
  }

  modelNames(): readonly string[] {
    return this.#repository.names();
  }

  resolve(name: string, version?: string, verb: Verb = 'infer'): ResolvedModel {
    const model = this.#find(name, version);
    if (verb === 'explain' && !model.capabilities.explains && this.#explainer === undefined) throw cannotExplain();
    return model;
  }

  infer(request: InferRequest, ctx: RequestContext): Promise<InferResponse> {
    return this.#answer('infer', request, ctx);
  }

  explain(request: InferRequest, ctx: RequestContext): Promise<InferResponse> {
    return this.#answer('explain', request, ctx);
  }

  statistics(name?: string, version?: string): readonly ModelStatistics[] {
    if (name !== undefined) return [this.#statistics(name, this.#repository.find(name, version).version)];
    return this.index({ readyOnly: true }).map((entry) => this.#statistics(entry.name, entry.version));
  }

  index({ readyOnly }: { readonly readyOnly: boolean }): readonly ModelIndexEntry[] {
    const entries = this.#repository.index();
    return readyOnly ? entries.filter(({ state }) => state === 'READY') : entries;
  }

  async load(name: string): Promise<void> {
    this.#checkAccepting();
    await this.#repository.load(name);
  }

  async unload(name: string): Promise<void> {
    this.#checkAccepting();
    await this.#repository.unload(name);
  }

  beginShutdown(): void {
    if (this.#phase === 'serving') this.#phase = 'leaving';
  }

  stopAccepting(): void {
    this.#phase = 'closed';
  }

  #checkAccepting(): void {
    if (this.#phase === 'closed') throw new ServingError('server_not_ready', 'Server is not ready.');
  }

  #find(name: string, version: string | undefined): ServedModel {
    this.#checkAccepting();
    return this.#repository.find(name, version);
  }

  async #answer(verb: Verb, request: InferRequest, ctx: RequestContext): Promise<InferResponse> {
    const startedAt = performance.now();
    const model = this.#find(request.modelName, request.modelVersion);
    const { name, version } = model;
    let reason: ErrorReason | 'ok' = 'ok';
    this.#inFlight++;
    this.#observer.started?.(name, version, verb);
    try {
      return await this.#run(verb, model, request, ctx, startedAt);
    } catch (thrown) {
      const error = toServingError(thrown);
      reason = error.reason;
      throw error;
    } finally {
      this.#inFlight--;
      this.#observer.finished?.({ model: name, version, verb, protocol: ctx.protocol, reason, seconds: (performance.now() - startedAt) / 1000 });
    }
  }

  async #run(verb: Verb, model: ServedModel, request: InferRequest, ctx: RequestContext, startedAt: number): Promise<InferResponse> {
    checkRequest(request, model);
    const ownTimeoutMs = readTimeoutMs(request.parameters);
    const delays = this.#delaysOverdue && verb === 'infer';
    const deadline = Math.min(ctx.deadline, startedAt + this.#requestTimeoutMs, delays ? Infinity : startedAt + ownTimeoutMs);
    const priority = readPriority(request.parameters);
    const id = loggableRequestId(request.id) ?? ctx.id;
    const runCtx = { ...ctx, id, deadline };
    const job: Job = { verb, request, priority, delayAfterMs: delays ? ownTimeoutMs : Infinity };
    const response = verb === 'infer' ? await this.#infer(model, job, runCtx) : await runExplain(model, this.#explainer, request, runCtx);
    return {
      modelName: model.name,
      modelVersion: model.version,
      ...(request.id === undefined ? {} : { id: request.id }),
      ...(response.parameters === undefined ? {} : { parameters: response.parameters }),
      // Requested outputs are the model's: an explanation has its own.
      outputs: verb === 'infer' ? selectOutputs(response, request.outputs, model) : response.outputs,
      ...(response.body === undefined ? {} : { body: response.body }),
      ...(response.headers === undefined ? {} : { headers: response.headers }),
      ...(this.#mayShare(model) ? { isShared: true } : {}),
    };
  }

  /** Whether equal requests get the same answer. */
  #mayShare(model: ServedModel): boolean {
    return this.#cache !== undefined && model.capabilities.isPure === true;
  }

  #infer(model: ServedModel, job: Job, ctx: RequestContext): Promise<InferResponse> {
    if (this.#cache === undefined || !this.#mayShare(model)) return model.scheduler.submit(job, ctx);
    return this.#cache.answer(model, job.request, ctx, (runCtx) => model.scheduler.submit(job, runCtx));
  }
}
