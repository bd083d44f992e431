import { ServingError } from '../core/errors.ts';
import { fieldOf, listOf } from './cluster.ts';

/** One time series: its labels and its values at rising times (seconds since 1970). */
export interface Series {
  readonly labels: Readonly<Record<string, string>>;
  readonly values: readonly (readonly [at: number, value: number])[];
}

export interface Prometheus {
  /** Values every `stepSeconds` from `from` to `to` (seconds since 1970). Rejects with `upstream_failed` when there is no answer, `invalid_request` for wrong PromQL. */
  range(query: string, from: number, to: number, stepSeconds: number): Promise<readonly Series[]>;
  /** The one value of a query at a time; NaN when it has none. Rejects when it has several. */
  value(query: string, at: number): Promise<number>;
}

const TIMEOUT_MS = 30_000;

/** Prometheus' HTTP API, version 1, as Thanos, Mimir and VictoriaMetrics have it, too. */
export function connectPrometheus(url: string, headers: Readonly<Record<string, string>>): Prometheus {
  const root = `${url.replace(/\/+$/, '')}/api/v1/`;
  return {
    range: async (query, from, to, stepSeconds) => {
      const result = await ask(`${root}query_range`, { query, start: String(from), end: String(to), step: String(stepSeconds) }, headers);
      return result.map((series) => ({ labels: fieldOf(series, 'metric') as Series['labels'], values: listOf(series, 'values').map(readSample) }));
    },
    value: async (query, at) => {
      const result = await ask(`${root}query`, { query, time: String(at) }, headers);
      if (result.length > 1)
        throw new ServingError('invalid_request', `Cannot use the query ${query}: expected one value, got ${result.length} series`);
      return result.length === 0 ? NaN : readSample(fieldOf(result[0], 'value'))[1];
    },
  };
}

function readSample(sample: unknown): readonly [number, number] {
  const value = String(fieldOf(sample, 1));
  return [Number(fieldOf(sample, 0)), value === '+Inf' ? Infinity : value === '-Inf' ? -Infinity : Number(value)];
}

async function ask(
  url: string,
  parameters: Readonly<Record<string, string>>,
  headers: Readonly<Record<string, string>>,
): Promise<readonly unknown[]> {
  let status: number;
  let body: unknown;
  try {
    const response = await fetch(url, { method: 'POST', body: new URLSearchParams(parameters), headers, signal: AbortSignal.timeout(TIMEOUT_MS) });
    status = response.status;
    body = await response.json().catch(() => undefined);
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    throw new ServingError(
      'upstream_failed',
      `Cannot reach Prometheus at ${url}: ${cause instanceof Error ? cause.message || cause.name : String(cause)}`,
      {
        cause: error,
      },
    );
  }
  const said = fieldOf(body, 'error');
  if (status === 400 || status === 422) throw new ServingError('invalid_request', `Prometheus refuses ${parameters['query'] ?? ''}: ${String(said)}`);
  if (fieldOf(body, 'status') !== 'success') {
    throw new ServingError('upstream_failed', `Cannot read metrics from ${url}: status ${status}${typeof said === 'string' ? `, ${said}` : ''}`);
  }
  const result = fieldOf(body, 'data', 'result');
  // A scalar is a pair, not a list of series.
  return fieldOf(body, 'data', 'resultType') === 'scalar' ? [{ value: result }] : listOf(body, 'data', 'result');
}
