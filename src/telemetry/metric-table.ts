/** One metric as the README lists it. `name` is what Prometheus shows; `labels` all have few values: models that exist, protocols, reasons, statuses. */
export interface MetricDefinition {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly labels: readonly string[];
  readonly help: string;
  /** Upper bounds of a histogram without +Inf, in the unit of the name. */
  readonly buckets?: readonly number[];
}

/** KServe's own (python/kserve/kserve/metrics.py), so that its dashboards fit. */
const KSERVE_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

const BATCH_SIZES = [1, 2, 4, 8, 16, 32, 64, 128];

/** Every metric name of the product stands here and nowhere else; those of the process and of Node come from prom-client's default set. */
export const METRICS = {
  preprocess: {
    name: 'request_preprocess_seconds',
    type: 'histogram',
    labels: ['model_name'],
    help: 'Seconds in preprocess per request',
    buckets: KSERVE_SECONDS,
  },
  predict: {
    name: 'request_predict_seconds',
    type: 'histogram',
    labels: ['model_name'],
    help: 'Seconds in the model per request',
    buckets: KSERVE_SECONDS,
  },
  postprocess: {
    name: 'request_postprocess_seconds',
    type: 'histogram',
    labels: ['model_name'],
    help: 'Seconds in postprocess per request',
    buckets: KSERVE_SECONDS,
  },
  explain: {
    name: 'request_explain_seconds',
    type: 'histogram',
    labels: ['model_name'],
    help: 'Seconds in explain per request',
    buckets: KSERVE_SECONDS,
  },
  requests: {
    name: 'kserve_node_requests_total',
    type: 'counter',
    labels: ['model', 'version', 'protocol', 'reason'],
    help: 'Inference requests answered, by reason: ok or why they failed',
  },
  requestSeconds: {
    name: 'kserve_node_request_duration_seconds',
    type: 'histogram',
    labels: ['model', 'protocol'],
    help: 'Seconds from the decoded request to its answer, queue included',
    buckets: SECONDS,
  },
  inFlight: { name: 'kserve_node_requests_in_flight', type: 'gauge', labels: ['model'], help: 'Inference requests taken and not answered yet' },
  queueSeconds: {
    name: 'kserve_node_queue_wait_seconds',
    type: 'histogram',
    labels: ['model'],
    help: 'Seconds that a request waited for a free instance',
    buckets: SECONDS,
  },
  computeSeconds: {
    name: 'kserve_node_compute_seconds',
    type: 'histogram',
    labels: ['model'],
    help: 'Seconds of one run of a batch, the way to its process and back included',
    buckets: SECONDS,
  },
  batchSize: { name: 'kserve_node_batch_size', type: 'histogram', labels: ['model'], help: 'Requests that ran together', buckets: BATCH_SIZES },
  executionRows: {
    name: 'kserve_node_execution_rows',
    type: 'histogram',
    labels: ['model'],
    help: 'Rows of one run of the engine, of all requests that it ran together',
    buckets: BATCH_SIZES,
  },
  executionSeconds: {
    name: 'kserve_node_execution_seconds',
    type: 'histogram',
    labels: ['model'],
    help: 'Seconds of one run of the engine, without queue and hop',
    buckets: SECONDS,
  },
  cacheLookups: {
    name: 'kserve_node_response_cache_lookups_total',
    type: 'counter',
    labels: ['model', 'result'],
    help: 'Requests looked up in the response cache, by result: hit or miss',
  },
  cacheBytes: { name: 'kserve_node_response_cache_bytes', type: 'gauge', labels: ['model'], help: 'Bytes of answers in the response cache' },
  queueDepth: { name: 'kserve_node_queue_depth', type: 'gauge', labels: ['model'], help: 'Requests waiting for a free instance' },
  rejected: {
    name: 'kserve_node_rejected_total',
    type: 'counter',
    labels: ['model', 'reason'],
    help: 'Requests given up by the queue: overloaded, deadline_exceeded, cancelled, server_not_ready',
  },
  restarts: {
    name: 'kserve_node_executor_restarts_total',
    type: 'counter',
    labels: ['model'],
    help: 'Times that a process running a model had to be replaced',
  },
  recycled: {
    name: 'kserve_node_handler_recycled_total',
    type: 'counter',
    labels: ['model'],
    help: 'Times that a model was loaded anew because too many calls of its handler never came to an end',
  },
  modelUpdates: {
    name: 'kserve_node_model_updates_total',
    type: 'counter',
    labels: ['model', 'outcome'],
    help: 'New versions found by --model_poll, by outcome: loaded or failed, where the old one goes on',
  },
  httpRequests: {
    name: 'kserve_node_http_requests_total',
    type: 'counter',
    labels: ['method', 'status'],
    help: 'HTTP requests answered, those to unknown paths included',
  },
  grpcRequests: {
    name: 'kserve_node_grpc_requests_total',
    type: 'counter',
    labels: ['method', 'code'],
    help: 'gRPC calls answered, by the name of their status code',
  },
  httpRequestBytes: { name: 'kserve_node_http_request_bytes_total', type: 'counter', labels: [], help: 'Bytes of HTTP request bodies as received' },
  httpResponseBytes: { name: 'kserve_node_http_response_bytes_total', type: 'counter', labels: [], help: 'Bytes of HTTP response bodies as sent' },
  startup: {
    name: 'kserve_node_startup_seconds',
    type: 'gauge',
    labels: ['phase'],
    help: 'Seconds from the beginning of the process to a point of its start: main, options, modules, child, models, listening, answer',
  },
  buildInfo: { name: 'kserve_node_build_info', type: 'gauge', labels: ['version', 'node_version'], help: 'Always 1; its labels say what runs' },
} as const satisfies Readonly<Record<string, MetricDefinition>>;

/** For documentation: all of METRICS in reading order. */
export const METRIC_TABLE: readonly MetricDefinition[] = Object.values(METRICS);
