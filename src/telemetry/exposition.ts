import type { Metric, MetricObjectWithValues, MetricValue, OpenMetricsContentType, Registry, RegistryContentType } from 'prom-client';
import type { MetricDefinition } from './metric-table.ts';
import type { Sample } from './series.ts';

/** Where a metric's lines come from when somebody reads. */
export interface SampleSource {
  readonly definition: MetricDefinition;
  samples(): readonly Sample[];
}

export interface Exposition {
  readonly contentType: string;
  readonly body: string;
}

/** Shows our series, and those of the process, in the two formats of Prometheus. */
export interface Exposer {
  render(format: 'text' | 'openmetrics'): Promise<Exposition>;
  /** Shows a further metric from now on; its name must be new. */
  add(source: SampleSource): void;
}

/** A larger precision wakes an idle process less often; milliseconds. */
const EVENT_LOOP_PRECISION_MS = 20;

/** Imports prom-client, and from then on watches the event loop and garbage collection. */
export async function createExposer(sources: readonly SampleSource[]): Promise<Exposer> {
  const { Registry, collectDefaultMetrics } = await import('prom-client');
  const defaults = new Registry();
  collectDefaultMetrics({ register: defaults, eventLoopMonitoringPrecision: EVENT_LOOP_PRECISION_MS });
  const readers = [...sources.map(readSource), ...defaults.getMetricsAsArray().map(({ name }) => readMetric(defaults, name))];
  const text = new Registry();
  const openMetrics = new Registry<OpenMetricsContentType>();
  openMetrics.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
  const add = (reader: Reader): void => {
    register(text, reader);
    // A registry takes `_total` off a counter's name for good when it writes OpenMetrics: hence one for each format, over the same readers.
    register(openMetrics, asOpenMetrics(reader));
  };
  for (const reader of readers) add(reader);
  return {
    add: (source) => {
      add(readSource(source));
    },
    render: async (format) => {
      const registry = format === 'text' ? text : openMetrics;
      return { contentType: registry.contentType, body: await registry.metrics() };
    },
  };
}

/** What a registry needs of a metric to write it. */
interface Reader {
  readonly name: string;
  readonly type: string;
  get(): Promise<MetricObjectWithValues<MetricValue<string>>>;
}

function register(registry: Pick<Registry<RegistryContentType>, 'registerMetric'>, reader: Reader): void {
  registry.registerMetric(reader as unknown as Metric);
}

function readSource(source: SampleSource): Reader {
  const { name, type, help } = source.definition;
  return {
    name,
    type,
    get: () => Promise.resolve({ name, type, help, values: source.samples() } as unknown as MetricObjectWithValues<MetricValue<string>>),
  };
}

function readMetric(registry: Registry, name: string): Reader {
  const metric = registry.getSingleMetric(name) as unknown as Reader;
  return { name, type: metric.type, get: () => metric.get() };
}

/** A counter's family is named without `_total`, which its lines get back. */
function asOpenMetrics(reader: Reader): Reader {
  if (reader.type !== 'counter') return reader;
  const name = reader.name.replace(/_total$/, '');
  return { name, type: reader.type, get: async () => ({ ...(await reader.get()), name }) };
}
