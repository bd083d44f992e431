import type { Execution, Measurement } from '../core/batch.ts';
import { SILENT_LOGGER, type Logger } from '../core/context.ts';
import type { ModelStatistics } from '../core/statistics.ts';
import { createExposer, type Exposer, type Exposition, type SampleSource } from './exposition.ts';
import { METRICS } from './metric-table.ts';
import { HistogramSeries, NumberSeries } from './series.ts';
import { StatisticsBook, type StatisticsRecorder } from './statistics.ts';
import { UserMetrics } from './user-metrics.ts';

export { METRIC_TABLE, type MetricDefinition } from './metric-table.ts';
export type { Exposition } from './exposition.ts';

/** Fits the dataplane's observer. */
export interface RequestMetrics {
  started(model: string, version: string): void;
  finished(outcome: {
    readonly model: string;
    readonly version: string;
    readonly protocol: string;
    readonly reason: string;
    readonly seconds: number;
  }): void;
  cacheLookedUp(lookup: { readonly model: string; readonly version: string; readonly isHit: boolean; readonly seconds: number }): void;
  cacheSized(model: string, addedBytes: number): void;
}

/** Fits the observer of one model's scheduler. Times in milliseconds, as measured there. */
export interface QueueMetrics {
  queued(depth: number): void;
  batchStarted(size: number, waitMs: readonly number[]): void;
  batchFinished(
    size: number,
    runMs: number,
    timings: { readonly preprocessMs: number; readonly predictMs: number; readonly postprocessMs: number; readonly explainMs?: number },
  ): void;
  executed(execution: Execution): void;
  measured(measurements: readonly Measurement[]): void;
  rejected(reason: string): void;
}

/** One HTTP exchange, whatever became of it. */
export interface HttpMetrics {
  finished(exchange: { readonly method: string; readonly status: number; readonly requestBytes: number; readonly responseBytes: number }): void;
}

/** One gRPC call. `method` is one of the service's own. */
export interface GrpcMetrics {
  callFinished(outcome: { readonly method: string; readonly code: string }): void;
}

/** Every metric of the process. Observers may be called from the first moment; they cost some field increments. */
export interface Metrics {
  readonly requests: RequestMetrics;
  readonly http: HttpMetrics;
  readonly grpc: GrpcMetrics;
  /** The queue of one model; for models that exist only, never for names that clients made up. The same name gives the same series. */
  queue(model: string, version: string): QueueMetrics;
  /** Of a model that exists: all 0 before its first request. */
  statistics(model: string, version: string): ModelStatistics;
  /** By the server's explainer; handlers' explanations are told with their batch. */
  explained(model: string, ms: number): void;
  executorRestarted(model: string): void;
  handlerRecycled(model: string): void;
  /** A point of the start was passed, so long after the process began. */
  startupReached(phase: string, seconds: number): void;
  /** A new version was found beside the one that serves. */
  modelUpdated(model: string, outcome: 'loaded' | 'failed'): void;
  /** What `GET /metrics` answers for this Accept header: OpenMetrics 1.0 when asked for, else the text format 0.0.4. */
  render(accept: string | undefined): Promise<Exposition>;
}

export interface MetricsOptions {
  /** Of this package. */
  readonly version: string;
}

export interface MetricsDependencies {
  /** Told once what of a handler's own metrics cannot be shown. */
  readonly log: Logger;
}

/** Methods that become label values; others are counted together. */
const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

export function createMetrics(options: MetricsOptions, deps: MetricsDependencies = { log: SILENT_LOGGER }): Metrics {
  const series = createSeries();
  const userMetrics = new UserMetrics(deps.log);
  const statistics = new StatisticsBook();
  series.buildInfo.with(options.version, process.version).value = 1;
  series.httpRequestBytes.with();
  series.httpResponseBytes.with();
  let exposer: Promise<Exposer> | undefined;
  return {
    requests: observeRequests(series, statistics),
    http: observeHttp(series),
    grpc: {
      callFinished: ({ method, code }) => {
        series.grpcRequests.with(method, code).add(1);
      },
    },
    queue: (model, version) => ({
      ...observeQueue(series, statistics.of(model, version), model),
      measured: (measurements) => {
        userMetrics.record(model, measurements);
      },
    }),
    statistics: (model, version) => statistics.of(model, version).read(),
    explained: (model, ms) => {
      series.explain.with(model).observe(ms / 1000);
    },
    executorRestarted: (model) => {
      series.restarts.with(model).add(1);
    },
    handlerRecycled: (model) => {
      series.recycled.with(model).add(1);
    },
    startupReached: (phase, seconds) => {
      series.startup.with(phase).value = seconds;
    },
    modelUpdated: (model, outcome) => {
      series.modelUpdates.with(model, outcome).add(1);
    },
    render: async (accept) => {
      exposer ??= createExposer(Object.values<SampleSource>(series));
      const shown = await exposer;
      for (const metric of userMetrics.takeNew()) shown.add(metric);
      return await shown.render(wantsOpenMetrics(accept) ? 'openmetrics' : 'text');
    },
  };
}

type AllSeries = ReturnType<typeof createSeries>;

function createSeries() {
  return {
    preprocess: new HistogramSeries(METRICS.preprocess),
    predict: new HistogramSeries(METRICS.predict),
    postprocess: new HistogramSeries(METRICS.postprocess),
    explain: new HistogramSeries(METRICS.explain),
    requests: new NumberSeries(METRICS.requests),
    requestSeconds: new HistogramSeries(METRICS.requestSeconds),
    inFlight: new NumberSeries(METRICS.inFlight),
    queueSeconds: new HistogramSeries(METRICS.queueSeconds),
    computeSeconds: new HistogramSeries(METRICS.computeSeconds),
    batchSize: new HistogramSeries(METRICS.batchSize),
    executionRows: new HistogramSeries(METRICS.executionRows),
    executionSeconds: new HistogramSeries(METRICS.executionSeconds),
    cacheLookups: new NumberSeries(METRICS.cacheLookups),
    cacheBytes: new NumberSeries(METRICS.cacheBytes),
    queueDepth: new NumberSeries(METRICS.queueDepth),
    rejected: new NumberSeries(METRICS.rejected),
    restarts: new NumberSeries(METRICS.restarts),
    recycled: new NumberSeries(METRICS.recycled),
    modelUpdates: new NumberSeries(METRICS.modelUpdates),
    httpRequests: new NumberSeries(METRICS.httpRequests),
    grpcRequests: new NumberSeries(METRICS.grpcRequests),
    httpRequestBytes: new NumberSeries(METRICS.httpRequestBytes),
    httpResponseBytes: new NumberSeries(METRICS.httpResponseBytes),
    startup: new NumberSeries(METRICS.startup),
    buildInfo: new NumberSeries(METRICS.buildInfo),
  };
}

function observeRequests(series: AllSeries, statistics: StatisticsBook): RequestMetrics {
  return {
    started: (model) => {
      series.inFlight.with(model).add(1);
    },
    finished: ({ model, version, protocol, reason, seconds }) => {
      series.inFlight.with(model).add(-1);
      series.requests.with(model, version, protocol, reason).add(1);
      series.requestSeconds.with(model, protocol).observe(seconds);
      statistics.of(model, version).finished(reason === 'ok', seconds * 1000);
    },
    cacheLookedUp: ({ model, version, isHit, seconds }) => {
      series.cacheLookups.with(model, isHit ? 'hit' : 'miss').add(1);
      statistics.of(model, version).lookedUp(isHit, seconds * 1000);
    },
    cacheSized: (model, addedBytes) => {
      series.cacheBytes.with(model).add(addedBytes);
    },
  };
}

function observeQueue(series: AllSeries, statistics: StatisticsRecorder, model: string): Omit<QueueMetrics, 'measured'> {
  let lastWaiting = 0;
  const depth = series.queueDepth.with(model);
  const wait = series.queueSeconds.with(model);
  const compute = series.computeSeconds.with(model);
  const size = series.batchSize.with(model);
  const executionRows = series.executionRows.with(model);
  const executionSeconds = series.executionSeconds.with(model);
  const preprocess = series.preprocess.with(model);
  const predict = series.predict.with(model);
  const postprocess = series.postprocess.with(model);
  series.restarts.with(model);
  series.recycled.with(model);
  return {
    queued: (waiting) => {
      // By what has changed: during a reload two queues of one model count here.
      depth.add(waiting - lastWaiting);
      lastWaiting = waiting;
    },
    batchStarted: (members, waitMs) => {
      size.observe(members);
      for (let i = 0; i < waitMs.length; i++) {
        const ms = waitMs[i] ?? 0;
        wait.observe(ms / 1000);
        statistics.waited(ms);
      }
    },
    batchFinished: (members, runMs, timings) => {
      compute.observe(runMs / 1000);
      for (let i = 0; i < members; i++) {
        preprocess.observe(timings.preprocessMs / 1000);
        predict.observe(timings.predictMs / 1000);
        postprocess.observe(timings.postprocessMs / 1000);
      }
      if (timings.explainMs !== undefined) series.explain.with(model).observe(timings.explainMs / 1000);
    },
    executed: (execution) => {
      executionRows.observe(execution.rows);
      executionSeconds.observe(execution.inferMs / 1000);
      statistics.executed(execution);
    },
    rejected: (reason) => {
      series.rejected.with(model, reason).add(1);
    },
  };
}

function observeHttp(series: AllSeries): HttpMetrics {
  const requestBytes = series.httpRequestBytes.with();
  const responseBytes = series.httpResponseBytes.with();
  return {
    finished: (exchange) => {
      series.httpRequests.with(METHODS.has(exchange.method) ? exchange.method : 'other', String(exchange.status)).add(1);
      requestBytes.add(exchange.requestBytes);
      responseBytes.add(exchange.responseBytes);
    },
  };
}

/** Prometheus sends `application/openmetrics-text;version=1.0.0;…;q=0.5,text/plain;version=0.0.4;q=0.2`; the better quality wins, OpenMetrics on a tie. */
function wantsOpenMetrics(accept: string | undefined): boolean {
  let openMetrics = 0;
  let text = 0;
  for (const range of (accept ?? '').split(',')) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
    const quality = Number(parameters.find((parameter) => parameter.startsWith('q='))?.slice(2) ?? 1);
    if (type === 'application/openmetrics-text') openMetrics = Math.max(openMetrics, quality);
    else if (type === 'text/plain' || type === 'text/*' || type === '*/*') text = Math.max(text, quality);
  }
  return openMetrics > 0 && openMetrics >= text;
}
