import type { RequestContext } from '../core/context.ts';
import { isServingError } from '../core/errors.ts';
import type { InferRequest, InferResponse } from '../core/infer.ts';
import { runSteps, runStepsYielding } from '../core/steps.ts';
import { totalByteLength } from '../core/tensor.ts';
import { AnswerStore } from './answer-store.ts';
import { Flight } from './flight.ts';
import type { CacheSettings } from './options.ts';
import { digestSteps } from './request-digest.ts';

/** Silent by default; server.ts connects telemetry. */
export interface ResponseCacheObserver {
  /** Once for each request, when it has its answer. A hit is an answer without a run of its own. */
  cacheLookedUp?(lookup: { readonly model: string; readonly version: string; readonly isHit: boolean; readonly seconds: number }): void;
  /** The bytes kept for a model have changed. */
  cacheSized?(model: string, addedBytes: number): void;
}

/** A loaded model; another object of the same name is another load of it. */
export interface CachedModel {
  readonly name: string;
  readonly version: string;
}

export type Run = (ctx: RequestContext) => Promise<InferResponse>;

/** Answers that models gave before, for requests that ask the same. Only for models whose answers follow from the request. Errors are never kept. */
export interface ResponseCache {
  /** The answer kept for an equal request, that of one under way, or what `run` gives. To be read only. Rejects as `run` does. */
  answer(model: CachedModel, request: InferRequest, ctx: RequestContext, run: Run): Promise<InferResponse>;
  /** What served by this name takes no more requests: its answers go. */
  forget(modelName: string): void;
}

/** Requests up to this size are digested in one go. */
const SMALL_BYTES = 64 * 1024;

interface ModelCache {
  readonly model: CachedModel;
  readonly store: AnswerStore;
  readonly flights: Map<string, Flight>;
}

export function createResponseCache(settings: CacheSettings, observer: ResponseCacheObserver = {}): ResponseCache {
  const caches = new Map<string, ModelCache>();
  const forget = (modelName: string): void => {
    caches.get(modelName)?.store.close();
    caches.delete(modelName);
  };
  const cacheOf = (model: CachedModel): ModelCache => {
    const known = caches.get(model.name);
    if (known?.model === model) return known;
    // Loaded anew: what it answered before says nothing.
    forget(model.name);
    const store = new AnswerStore(settings, (addedBytes) => observer.cacheSized?.(model.name, addedBytes));
    const cache = { model, store, flights: new Map<string, Flight>() };
    caches.set(model.name, cache);
    return cache;
  };
  return {
    forget,
    answer: async (model, request, ctx, run) => {
      // Before anything is waited for: a model that is replaced meanwhile answers for itself.
      const cache = cacheOf(model);
      const startedAt = performance.now();
      const bytes = totalByteLength(request.inputs) + (request.body?.bytes.length ?? 0);
      const digest = bytes <= SMALL_BYTES ? runSteps(digestSteps(request)) : await runStepsYielding(digestSteps(request), ctx.signal);
      const lookupMs = performance.now() - startedAt;
      let isHit = false;
      try {
        const { response, isOwn } = await find(cache, digest, ctx, run);
        isHit = !isOwn;
        return response;
      } finally {
        const { name, version } = model;
        // A run is compute, whichever way it was asked for.
        observer.cacheLookedUp?.({ model: name, version, isHit, seconds: (isHit ? performance.now() - startedAt : lookupMs) / 1000 });
      }
    },
  };
}

interface Found {
  readonly response: InferResponse;
  /** It was run for this request. */
  readonly isOwn: boolean;
}

async function find({ model, store, flights }: ModelCache, digest: string, ctx: RequestContext, run: Run): Promise<Found> {
  for (;;) {
    const kept = store.find(digest, performance.now());
    if (kept !== undefined) return { response: kept, isOwn: false };
    const other = flights.get(digest);
    if (other === undefined || other.isAbandoned) break;
    try {
      return { response: await other.join(ctx, model.name), isOwn: false };
    } catch (error) {
      // The time of the one that began it was up; this one has some left.
      const isTheirs = isServingError(error) && error.reason === 'deadline_exceeded' && ctx.deadline > performance.now() && !ctx.signal.aborted;
      if (!isTheirs) throw error;
    }
  }
  const flight = new Flight(ctx, run);
  flights.set(digest, flight);
  flight.onEnd((response) => {
    if (flights.get(digest) === flight) flights.delete(digest);
    if (response !== undefined) store.keep(digest, response, performance.now());
  });
  return { response: await flight.join(ctx, model.name), isOwn: true };
}
