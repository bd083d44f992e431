import { ServingError } from '../core/errors.ts';
import { readYaml } from './change.ts';
import { fieldOf, textOf } from './cluster.ts';
import type { CustomQuery, MetricQueries } from './measure.ts';
import type { RolloutPlan } from './plan.ts';

const LIMITS = { max: 'max', min: 'min', max_drop: 'maxDrop', max_rise: 'maxRise' } as const;

/** The metrics of a plan, its file of further queries read and checked. */
export async function readQueries({ judge }: RolloutPlan): Promise<MetricQueries> {
  const { requestsMetric, errorsMetric, latencyMetric, queries } = judge;
  const custom = queries === undefined ? [] : readCustomQueries(await readYaml(queries), queries);
  return { requests: requestsMetric, errors: errorsMetric, latency: latencyMetric, custom };
}

/** A list of `{name, query, max | min | max_drop | max_rise}`. */
export function readCustomQueries(written: unknown, file: string): readonly CustomQuery[] {
  const refuse = (what: string): never => {
    throw new ServingError('invalid_request', `Cannot use --queries ${file}: ${what}`);
  };
  if (!Array.isArray(written) || written.length === 0) return refuse('expected a list of queries');
  return written.map((entry: unknown, index) => {
    const [name, query] = [textOf(entry, 'name'), textOf(entry, 'query')];
    if (name === undefined || query === undefined) return refuse(`expected a name and a query in entry ${index + 1}`);
    const limits = Object.entries(LIMITS).flatMap(([field, limit]) => {
      const value = fieldOf(entry, field);
      if (value === undefined) return [];
      return typeof value === 'number' && Number.isFinite(value) ? [[limit, value] as const] : refuse(`expected a number as ${field} of ${name}`);
    });
    const unknown = Object.keys(entry as object).find((field) => !['name', 'query', ...Object.keys(LIMITS)].includes(field));
    if (unknown !== undefined)
      return refuse(`${name} has an unknown field ${JSON.stringify(unknown)} (fields: name, query, ${Object.keys(LIMITS).join(', ')})`);
    if (limits.length === 0) return refuse(`${name} has no limit: give one of ${Object.keys(LIMITS).join(', ')}`);
    if (!query.includes('$selector')) return refuse(`the query of ${name} has no $selector, so that it would be the same for both revisions`);
    return { name, query, ...Object.fromEntries(limits) };
  });
}
