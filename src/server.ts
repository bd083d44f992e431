import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { ResponseCache, ResponseCacheObserver } from './cache/index.ts';
import type { Logger, RequestContext } from './core/context.ts';
import { isUri } from './core/uri.ts';
import { createDataplane } from './dataplane/index.ts';
import { createPredictorHealth, toPredictorOptions, type EngineOptions, type PredictorHealth } from './engine/index.ts';
import { createInlineExecutor, createProcessExecutor } from './executor/index.ts';
import { createExplainer } from './explain/index.ts';
import { createHttpFrontend, createMetricsRoute, type HttpFrontend } from './protocol/http/index.ts';
import { createOpenApiRoute } from './protocol/openapi/index.ts';
import { createV1Routes, V1_SCHEMAS } from './protocol/v1-rest/index.ts';
import { createGrpcServer, type GrpcFrontend } from './protocol/v2-grpc/index.ts';
import { createV2Routes, V2_SCHEMAS } from './protocol/v2-rest/index.ts';
import { modelProcessOptions, type HeadStart } from './head-start.ts';
import { createRepository, type CreateExecutor, type ModelRepository, type RepositoryDependencies } from './repository/index.ts';
import { cpuQuota, resolveBudget, sharedSlots, type BatchPolicy, type QueuePolicy, type SchedulerObserver } from './scheduler/index.ts';
import type { Settings } from './settings.ts';
import { createLatencyLog, createMetrics, Startup, type Metrics } from './telemetry/index.ts';

const { version: VERSION } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };

/** libuv's own default. */
const DEFAULT_POOL_SIZE = 4;

/** How often health is told to gRPC watchers when nothing else says that something changed. */
const HEALTH_REFRESH_MS = 500;

export interface ServerDependencies {
  readonly log: Logger;
  /** UV_THREADPOOL_SIZE is read from it, and child processes get a part of it. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Told when the points of the start are passed, up to the first answer. */
  readonly startup?: Startup;
  /** Of the same settings; what of it the first load did not take ends with that. */
  readonly headStart?: HeadStart;
}

export interface RunningServer {
  readonly httpUrl: string;
  readonly grpcUrl?: string;
  /** Not ready, lame duck, no more connections, drain, unload; within the grace period. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Loads the models, then opens the ports: whoever can connect gets answers. Rejects with ServingError when there is no model to serve or a port
 * cannot be opened; nothing is left behind then. `signal` gives up.
 */
export async function startServer(
  settings: Settings,
  deps: ServerDependencies,
  signal: AbortSignal = new AbortController().signal,
): Promise<RunningServer> {
  const { log, startup = new Startup() } = deps;
  const metrics = createMetrics({ version: VERSION }, { log });
  const cache = await createCache(settings.cache, metrics.requests);
  const repository = createModelRepository(settings, { ...deps, startup }, metrics, cache);
  const { enableLatencyLogging } = settings.telemetry;
  const explained = (model: string, ctx: RequestContext, ms: number): void => {
    metrics.explained(model, ms);
    if (enableLatencyLogging) createLatencyLog(log, model).explained(ctx, ms);
  };
  const explainer = await createExplainer(settings.explainer, { log, observer: { explained } });
  const predictorHealth = await watchPredictor(settings, log);
  const { requestTimeoutMs } = settings.scheduler;
  const dataplane = createDataplane(
    { requestTimeoutMs, delaysOverdue: settings.scheduler.queueTimeoutAction === 'delay', serverName: 'kserve-node', version: VERSION },
    {
      repository,
      observer: {
        ...metrics.requests,
        finished: (outcome) => {
          metrics.requests.finished(outcome);
          if (outcome.reason === 'ok') startup.reached('answer');
        },
      },
      statistics: (model, version) => metrics.statistics(model, version),
      ...(cache === undefined ? {} : { cache }),
      ...(explainer === undefined ? {} : { explainer }),
      ...(predictorHealth === undefined ? {} : { readiness: () => predictorHealth.isReady() }),
    },
  );
  startup.observe((phase, milliseconds) => {
    metrics.startupReached(phase, milliseconds / 1000);
  });
  const quiet = startup.quiet();
  const grpc = settings.server.enableGrpc ? createGrpcFrontend(settings, log, metrics, dataplane) : undefined;
  const http = createRestFrontend(settings, log, metrics, dataplane, grpc);
  const { host, port, httpPort } = settings.server;
  try {
    await repository.start(signal).finally(() => deps.headStart?.child?.drop());
    const kept = namesOfKeptGraphs(repository);
    if (kept !== '') startup.note('models', `by optimised graphs kept in --model_cache: ${kept}`);
    startup.reached('models');
    const [httpPortTaken, grpcPortTaken] = await Promise.all([http.start(host, port ?? httpPort), port === undefined ? grpc?.start() : undefined]);
    startup.reached('listening');
    void quiet
      .then(() => http.complete())
      .catch((error: unknown) => {
        log.error({ error }, 'Cannot import express');
      });
    const httpUrl = urlOf('http', host, httpPortTaken);
    const grpcUrl = grpc === undefined ? undefined : urlOf('grpc', host, grpcPortTaken ?? httpPortTaken);
    const healthTimer = setInterval(() => grpc?.refreshHealth(), HEALTH_REFRESH_MS).unref();
    let stopped: Promise<void> | undefined;
    return {
      httpUrl,
      ...(grpcUrl === undefined ? {} : { grpcUrl }),
      stop: () => {
        clearInterval(healthTimer);
        return (stopped ??= stopInOrder(settings.server, log, { dataplane, http, grpc, repository, predictorHealth }));
      },
    };
  } catch (error) {
    predictorHealth?.stop();
    await Promise.allSettled([http.stop(0), grpc?.stop(0)]);
    await repository.close(0);
    throw error;
  }
}

/** Digests need a part of Node that takes time to load. */
async function createCache(settings: Settings['cache'], observer: ResponseCacheObserver): Promise<ResponseCache | undefined> {
  return settings.maxBytes === 0 ? undefined : (await import('./cache/index.ts')).createResponseCache(settings, observer);
}

/** How often a predictor elsewhere is asked whether it is ready. */
const PREDICTOR_HEALTH_INTERVAL_MS = 5000;

async function watchPredictor({ predictor, server }: Settings, log: Logger): Promise<PredictorHealth | undefined> {
  const options = toPredictorOptions(predictor);
  if (options === undefined || !predictor.enableHealthCheck) return undefined;
  return await createPredictorHealth(options, server.modelName ?? 'model', log, { intervalMs: PREDICTOR_HEALTH_INTERVAL_MS });
}

function createModelRepository(
  settings: Settings,
  { log, env, startup, headStart }: ServerDependencies,
  metrics: Metrics,
  cache: ResponseCache | undefined,
): ModelRepository {
  const { engine, executor, handler, scheduler, server } = settings;
  const predictor = toPredictorOptions(settings.predictor);
  const poolSize = Number(env['UV_THREADPOOL_SIZE'] ?? DEFAULT_POOL_SIZE);
  const { instances, intraOpThreads, besideThreads } = resolveBudget({
    cpus: cpuQuota(),
    instances: scheduler.instances,
    intraOpThreads: engine.intraOpThreads,
    poolSize,
  });
  const observeModel = (name: string, version: string): SchedulerObserver => ({
    ...metrics.queue(name, version),
    ...(settings.telemetry.enableLatencyLogging ? createLatencyLog(log, name) : {}),
  });
  const recycled = (name: string): void => {
    metrics.handlerRecycled(name);
  };
  const updated = (name: string, outcome: 'loaded' | 'failed'): void => {
    metrics.modelUpdated(name, outcome);
  };
  const createExecutor: CreateExecutor = (purpose) => {
    if (purpose.isolation === 'inline') return createInlineExecutor({ log });
    const { modelName } = purpose;
    const observer = {
      started: () => {
        startup?.reached('child');
      },
      lost: () => {
        metrics.executorRestarted(modelName);
      },
    };
    const options = modelProcessOptions(settings, env, purpose.hasHandler === true);
    const early = headStart?.child === undefined ? {} : { early: headStart.child };
    return createProcessExecutor({ ...options, ...early }, { log: log.child({ model: modelName }), observer });
  };
  return createRepository(
    {
      modelName: server.modelName,
      modelDir: server.modelDir === undefined || isUri(server.modelDir) ? undefined : resolve(server.modelDir),
      isolation: executor.isolation,
      instances,
      loadTimeoutMs: settings.repository.loadTimeoutMs,
      warmUp: settings.repository.warmUp,
      maxQueueSize: scheduler.maxQueueSize,
      batching: { mode: scheduler.batching, maxBatchSize: scheduler.maxBatchSize },
      ...policiesOf(scheduler),
      handler: { ...handler, path: handler.handler },
      ...(predictor === undefined ? {} : { predictor }),
      isWatching: handler.watch,
      pollMs: settings.repository.pollMs,
      engineOptions: {
        onnxBinding: engine.onnxBinding,
        provider: engine.provider,
        intraOpThreads,
        besideThreads,
        interOpThreads: engine.interOpThreads,
        ...graphCacheOf(settings),
      },
    },
    {
      createExecutor,
      observeModel,
      log,
      observer: { recycled, updated, retired: (name) => cache?.forget(name) },
      inlineSlots: sharedSlots(poolSize),
      ...openSourceOf(settings, { log, env }),
    },
  );
}

/** Below this a load is no part of a start that anybody feels. */
const GRAPH_WORTH_MS = 100;
/** By then a start is over, and what it compiled is kept. */
const GRAPH_AFTER_MS = 2000;

function graphCacheOf({ storage }: Settings): Pick<EngineOptions, 'graphCache'> {
  const { modelCache: dir, modelCacheBytes: maxBytes } = storage;
  return dir === undefined ? {} : { graphCache: { dir: resolve(dir), maxBytes, worthMs: GRAPH_WORTH_MS, makeAfterMs: GRAPH_AFTER_MS } };
}

function namesOfKeptGraphs(repository: ModelRepository): string {
  const hasKept = (name: string): boolean => repository.isReady(name) && repository.find(name).properties['graph'] === 'kept';
  return repository.names().filter(hasKept).join(', ');
}

/** Clients of stores are heavy: they are loaded for a URI only. */
function openSourceOf({ server, storage }: Settings, deps: ServerDependencies): Pick<RepositoryDependencies, 'openSource'> {
  const { modelDir } = server;
  if (modelDir === undefined || !isUri(modelDir)) return {};
  return { openSource: async () => (await import('./storage/index.ts')).createModelSource(modelDir, storage, deps) };
}

function policiesOf(scheduler: Settings['scheduler']): { readonly batchPolicy: BatchPolicy; readonly queuePolicy: QueuePolicy } {
  const { maxBatchSize, preferredBatchSize = [], maxQueueDelayMs, priorityLevels, defaultPriority, queueTimeoutMs, queueTimeoutAction } = scheduler;
  return {
    batchPolicy: { maxBatchSize, preferredBatchSizes: preferredBatchSize, maxQueueDelayMs },
    queuePolicy: { priorityLevels, defaultPriority, timeoutMs: queueTimeoutMs, timeoutAction: queueTimeoutAction },
  };
}

type Dataplane = ReturnType<typeof createDataplane>;

function createRestFrontend(settings: Settings, log: Logger, metrics: Metrics, dataplane: Dataplane, grpc: GrpcFrontend | undefined): HttpFrontend {
  const deps = { dataplane, maxJsonDepth: settings.http.maxJsonDepth, events: settings.http };
  const routes = [...createV2Routes(deps), ...createV1Routes(deps), createMetricsRoute((accept) => metrics.render(accept))];
  const openApi = createOpenApiRoute({ title: 'kserve-node', version: VERSION, routes, schemas: { ...V2_SCHEMAS, ...V1_SCHEMAS } });
  return createHttpFrontend(settings.http, {
    routes: [...routes, openApi],
    log,
    observer: metrics.http,
    ...(grpc === undefined ? {} : { grpc: grpc.streams }),
  });
}

function createGrpcFrontend({ server, grpc, http }: Settings, log: Logger, metrics: Metrics, dataplane: Dataplane): GrpcFrontend {
  return createGrpcServer(
    { ...http, ...grpc, stallTimeoutMs: http.bodyTimeoutMs, host: server.host, port: server.grpcPort },
    { dataplane, log, observer: metrics.grpc },
  );
}

interface Stages {
  readonly dataplane: Dataplane;
  readonly http: HttpFrontend;
  readonly grpc: GrpcFrontend | undefined;
  readonly repository: ModelRepository;
  readonly predictorHealth: PredictorHealth | undefined;
}

/** Models unload last: a request that was accepted finds its model. */
async function stopInOrder(
  { lameDuckMs, gracePeriodMs }: Settings['server'],
  log: Logger,
  { dataplane, http, grpc, repository, predictorHealth }: Stages,
): Promise<void> {
  const endsAt = performance.now() + gracePeriodMs;
  const left = (): number => Math.max(0, endsAt - performance.now());
  log.info({ lameDuckMs, gracePeriodMs, inFlight: dataplane.inFlight }, 'Shutting down: not ready, still serving');
  dataplane.beginShutdown();
  http.drain();
  grpc?.drain();
  await new Promise((elapsed) => setTimeout(elapsed, lameDuckMs));
  // A part of what is left belongs to the models, should a connection hold out to the end.
  const drainMs = left() * 0.8;
  await Promise.all([http.stop(drainMs), grpc?.stop(drainMs)]);
  dataplane.stopAccepting();
  predictorHealth?.stop();
  await repository.close(left());
  log.info({}, 'Shut down');
}

/** A wildcard address is not one to connect to. */
function urlOf(scheme: 'http' | 'grpc', host: string, port: number): string {
  const name = host === '0.0.0.0' || host === '::' ? 'localhost' : host.includes(':') ? `[${host}]` : host;
  return `${scheme}://${name}:${String(port)}`;
}
