import type { RequestContext } from '../core/context.ts';
import { ServingError, toServingError, type ErrorReason } from '../core/errors.ts';
import type { InferRequest, InferResponse } from '../core/infer.ts';
import type { ModelIndexEntry, ModelMetadata, ServerMetadata } from '../core/metadata.ts';
import { loggableRequestId } from '../core/request-id.ts';
import { checkInputs } from '../pipeline/index.ts';
import type { ModelRepository, ServedModel } from '../repository/index.ts';
import type { DataplaneControl, DataplaneObserver, ResolvedModel } from './dataplane.ts';
import { readTimeoutMs } from './request-timeout.ts';
import { checkRequestedOutputs, selectOutputs } from './requested-outputs.ts';
import { checkSharedDimensions } from './shared-dimensions.ts';

export interface DataplaneOptions {
  /** Longest that any request may take, queue included; Infinity: no limit. */
  readonly requestTimeoutMs: number;
  readonly serverName: string;
  readonly version: string;
}

export interface DataplaneDependencies {
  readonly repository: ModelRepository;
  readonly observer?: DataplaneObserver;
}

/** KServe's own name for load and unload, then Triton's names of the extensions of OIP. */
const EXTENSIONS = ['model_repository_extension', 'model_repository', 'binary_tensor_data', 'parameters'] as const;

const SILENT: DataplaneObserver = {};

export function createDataplane(options: DataplaneOptions, deps: DataplaneDependencies): DataplaneControl {
  return new RepositoryDataplane(options, deps);
}

class RepositoryDataplane implements DataplaneControl {
  readonly #requestTimeoutMs: number;
  readonly #serverMetadata: ServerMetadata;
  readonly #repository: ModelRepository;
  readonly #observer: DataplaneObserver;
  #phase: 'serving' | 'leaving' | 'closed' = 'serving';
  #inFlight = 0;

  constructor(options: DataplaneOptions, deps: DataplaneDependencies) {
    this.#requestTimeoutMs = options.requestTimeoutMs;
    this.#serverMetadata = Object.freeze({ name: options.serverName, version: options.version, extensions: EXTENSIONS });
    this.#repository = deps.repository;
    this.#observer = deps.observer ?? SILENT;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  isLive(): boolean {
    return true;
  }

  isReady(): boolean {
    return this.#phase === 'serving' && this.#repository.isAllReady();
  }

  isModelReady(name: string, version?: string): boolean {
    return this.#repository.isReady(name, version);
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

  resolve(name: string, version?: string): ResolvedModel {
    return this.#find(name, version);
  }

  async infer(request: InferRequest, ctx: RequestContext): Promise<InferResponse> {
    const startedAt = performance.now();
    const model = this.#find(request.modelName, request.modelVersion);
    const { name, version } = model;
    let reason: ErrorReason | 'ok' = 'ok';
    this.#inFlight++;
    this.#observer.started?.(name, version);
    try {
      return await this.#run(model, request, ctx, startedAt);
    } catch (thrown) {
      const error = toServingError(thrown);
      reason = error.reason;
      throw error;
    } finally {
      this.#inFlight--;
      this.#observer.finished?.({ model: name, version, protocol: ctx.protocol, reason, seconds: (performance.now() - startedAt) / 1000 });
    }
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

  async #run(model: ServedModel, request: InferRequest, ctx: RequestContext, startedAt: number): Promise<InferResponse> {
    checkInputs(request.inputs, model.signature, model.name);
    checkSharedDimensions(request.inputs, model.signature);
    checkRequestedOutputs(request.outputs, model.signature, model.name);
    const timeoutMs = Math.min(this.#requestTimeoutMs, readTimeoutMs(request.parameters));
    const deadline = Math.min(ctx.deadline, startedAt + timeoutMs);
    const id = loggableRequestId(request.id) ?? ctx.id;
    const response = await model.scheduler.submit({ verb: 'infer', request }, { ...ctx, id, deadline });
    return {
      modelName: model.name,
      modelVersion: model.version,
      ...(request.id === undefined ? {} : { id: request.id }),
      ...(response.parameters === undefined ? {} : { parameters: response.parameters }),
      outputs: selectOutputs(response.outputs, request.outputs, model.name),
    };
  }
}
