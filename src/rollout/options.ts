import { boolean, defineSection, finite, integer, localPath, narrow, oneOf, seconds, text, type OptionsOf } from '../options/index.ts';

const share = narrow(finite(), 'expected a number from 0 to 1', (value) => value >= 0 && value <= 1);
const chance = narrow(finite(), 'expected a number above 0 and below 0.5', (value) => value > 0 && value < 0.5);
const ratio = narrow(finite(), 'expected a number from 1 to 1000', (value) => value >= 1 && value <= 1000);

export const serviceSection = defineSection({
  title: 'What is rolled out',
  options: {
    namespace: { name: 'namespace', schema: text('NAME'), doc: 'of the InferenceService; that of the current context when not given' },
    kubeconfig: {
      name: 'kubeconfig',
      schema: localPath('FILE'),
      doc: 'cluster and credentials; else the variable KUBECONFIG, ~/.kube/config, or the service account of the pod',
    },
    storageUri: { name: 'storage_uri', schema: text('URI'), doc: 'new storageUri of the predictor' },
    file: {
      name: 'file',
      schema: localPath('FILE'),
      doc: 'InferenceService in YAML or JSON whose spec.predictor is the new one; without it and --storage_uri the canary that is there already goes on',
    },
    canaryName: {
      name: 'canary_name',
      schema: text('NAME'),
      doc: 'Standard mode: name of the canary predictor, new for each rollout (default c and a number)',
    },
    route: {
      name: 'route',
      schema: text('KIND/NAME'),
      doc: 'Standard mode: httproute/NAME or virtualservice/NAME that sends traffic to the predictor; its weights are set',
    },
    forceConflicts: {
      name: 'force_conflicts',
      schema: boolean(),
      default: false,
      doc: 'take over fields that another field manager (Argo CD, Flux, Helm) has applied, instead of refusing',
    },
    retry: { name: 'retry', schema: boolean(), default: false, doc: 'roll out again what was rolled back before' },
    dryRun: {
      name: 'dry_run',
      schema: boolean(),
      default: false,
      doc: 'let the API server check what would be applied first, show the steps, change nothing',
    },
  },
});

export const paceSection = defineSection({
  title: 'Pace',
  options: {
    steps: {
      name: 'steps',
      schema: text('N|N,N,…'),
      default: '10',
      doc: 'percent that each step adds, or the percentages one after the other, such as 1,5,25,50,100',
    },
    intervalMs: {
      name: 'interval',
      schema: seconds({ min: 1, max: 604_800 }),
      default: 3600,
      doc: 'of each step, from the moment its traffic arrives',
    },
    checkMs: {
      name: 'check_interval',
      schema: seconds({ min: 0.2, max: 3600 }),
      default: 60,
      doc: 'between looks at the metrics; a bad look ends a step early',
    },
    patienceMs: {
      name: 'patience',
      schema: seconds({ min: 0, max: 604_800 }),
      default: 3600,
      doc: 'how much longer than --interval a step waits for enough requests or for metrics before the rollout stops',
    },
    readyMs: {
      name: 'ready_timeout',
      schema: seconds({ min: 1, max: 86_400 }),
      default: 600,
      doc: 'for the canary to become ready, and for traffic to move',
    },
    apiMs: {
      name: 'api_timeout',
      schema: seconds({ min: 1, max: 86_400 }),
      default: 300,
      doc: 'how long the API server may be away before the rollout gives up',
    },
    leaseMs: {
      name: 'lease',
      schema: seconds({ min: 3, max: 600 }),
      default: 30,
      doc: 'after which another runner may take over from one that was killed',
    },
  },
});

export const judgeSection = defineSection({
  title: 'Judgement',
  options: {
    prometheusUrl: {
      name: 'prometheus_url',
      schema: narrow(text('URL'), 'expected http:// or https:// and a host', (value) => /^https?:\/\/[^/]/i.test(value) && URL.canParse(value)),
      doc: 'Prometheus, Thanos, Mimir or another server of its HTTP API; needed to run',
    },
    prometheusHeaders: {
      name: 'prometheus_headers',
      schema: text('JSON'),
      secret: true,
      doc: 'headers for it, such as {"Authorization": "Bearer …"}',
    },
    minRequests: {
      name: 'min_requests',
      schema: integer(1),
      default: 100,
      doc: 'that the canary and the stable revision must have answered in a step before it is judged',
    },
    significance: {
      name: 'significance',
      schema: chance,
      default: 0.05,
      doc: 'chance, over the whole rollout, that a canary as good as the stable revision is rolled back by the tests of errors and latency',
    },
    errorMargin: {
      name: 'error_margin',
      schema: share,
      default: 0.005,
      doc: 'by how much the share of errors may be higher than that of the stable revision',
    },
    maxErrorRatio: {
      name: 'max_error_ratio',
      schema: share,
      doc: 'share of errors above which the canary is rolled back whatever the stable revision does',
    },
    maxP99Ratio: { name: 'max_p99_ratio', schema: ratio, default: 1.25, doc: "how many times the stable revision's p99 the canary's may be" },
    queries: {
      name: 'queries',
      schema: localPath('FILE'),
      doc: 'JSON or YAML list of further queries: model quality, anything else that Prometheus knows',
    },
    requestsMetric: {
      name: 'requests_metric',
      schema: text('PROMQL'),
      default: 'kserve_node_requests_total{$selector}',
      doc: 'counters of requests',
    },
    errorsMetric: {
      name: 'errors_metric',
      schema: text('PROMQL'),
      default: 'kserve_node_requests_total{$selector,reason!~"ok|cancelled"}',
      doc: 'counters of those among them that failed',
    },
    latencyMetric: {
      name: 'latency_metric',
      schema: text('PROMQL'),
      default: 'kserve_node_request_duration_seconds_bucket{$selector}',
      doc: 'buckets of their histogram; none leaves latency out',
    },
    canarySelector: {
      name: 'canary_selector',
      schema: text('LABELS'),
      doc: 'labels of the canary in $selector (default namespace="…",pod=~"…" of its pods); $revision, $namespace and $name are replaced',
    },
    stableSelector: { name: 'stable_selector', schema: text('LABELS'), doc: 'labels of the stable revision, likewise' },
  },
});

export const outputSection = defineSection({
  title: 'Output',
  options: {
    output: {
      name: 'output',
      schema: oneOf(['auto', 'table', 'json']),
      default: 'auto',
      doc: 'a table that is drawn again and again, or lines of JSON; auto: a table on a terminal',
    },
  },
});

export const jobSection = defineSection({
  title: 'rollout job',
  options: {
    image: { name: 'image', schema: text('IMAGE'), doc: 'with this program and @kubernetes/client-node; needed to print a job' },
    schedule: {
      name: 'schedule',
      schema: text('CRON'),
      doc: 'print a CronJob that looks for a canary at these times, such as "*/10 * * * *", instead of a Job',
    },
  },
});

export const ROLLOUT_SECTIONS = { service: serviceSection, pace: paceSection, judge: judgeSection, output: outputSection, job: jobSection } as const;

export type ServiceOptions = OptionsOf<typeof serviceSection>;
export type PaceOptions = OptionsOf<typeof paceSection>;
export type JudgeOptions = OptionsOf<typeof judgeSection>;
export type OutputOptions = OptionsOf<typeof outputSection>;
export type JobOptions = OptionsOf<typeof jobSection>;
