import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { increaseOf, measure, type MetricQueries } from '../../../src/rollout/measure.ts';
import type { Prometheus, Series } from '../../../src/rollout/prometheus.ts';

const seriesOf = (...values: readonly (readonly [number, number])[]): Series => ({ labels: {}, values });

describe('increaseOf', () => {
  it.each([
    ['grows from the value at the beginning', seriesOf([90, 5], [100, 7], [110, 10], [120, 12]), 5],
    ['counts from nothing when the series begins later', seriesOf([110, 4], [120, 6]), 6],
    ['goes on after a restart', seriesOf([100, 50], [110, 60], [120, 3]), 13],
    ['ignores what is not a number', seriesOf([100, 5], [110, NaN], [120, 8]), 3],
    ['is nothing without growth', seriesOf([90, 5], [100, 5], [110, 5]), 0],
    ['takes the last value before the beginning when there is none at it', seriesOf([80, 5], [120, 9]), 4],
  ])('%s', (_, series, expected) => {
    expect(increaseOf(series, 100)).toBe(expected);
  });

  it('is the sum of all increments after the beginning, restarts included', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ by: fc.integer({ min: 1, max: 9 }), restarts: fc.boolean() }), { maxLength: 30 }), (steps) => {
        let [value, expected] = [0, 0];
        const values = steps.map(({ by, restarts }, index): readonly [number, number] => {
          // A restart is seen when the counter comes back lower.
          value = restarts && by < value ? by : value + by;
          if (index >= 10) expected += by;
          return [index, value];
        });
        expect(increaseOf(seriesOf(...values), 9)).toBe(expected);
      }),
    );
  });
});

describe('measure', () => {
  const asked: string[] = [];
  const answers: Readonly<Record<string, readonly Series[]>> = {
    'requests{pod="new"}': [seriesOf([60, 0], [61, 30]), seriesOf([60, 10], [61, 20])],
    'requests{pod="old"}': [seriesOf([60, 0], [61, 400])],
    'errors{pod="new"}': [seriesOf([61, 3])],
    'buckets{pod="new"}': [
      { labels: { le: '0.1' }, values: [[61, 30]] },
      { labels: { le: '+Inf' }, values: [[61, 40]] },
    ],
  };
  const prometheus: Prometheus = {
    range: (query, from, to, step) => {
      asked.push(`${query} ${String(from)} ${String(to)} ${String(step)}`);
      return Promise.resolve(answers[query] ?? []);
    },
    value: (query) => {
      asked.push(query);
      return Promise.resolve(query.includes('new') ? 0.9 : NaN);
    },
  };
  const queries: MetricQueries = {
    requests: 'requests{$selector}',
    errors: 'errors{$selector}',
    latency: 'buckets{$selector}',
    custom: [{ name: 'accuracy', query: 'avg_over_time(accuracy{$selector}[$window])', min: 0.8 }],
  };

  it('adds up the pods of each side and asks from well before the step on', async () => {
    const window = await measure(prometheus, queries, { canary: 'pod="new"', stable: 'pod="old"' }, 60_000, 120_000);
    expect(window).toEqual({
      canary: { requests: 40, errors: 3, latency: { bounds: [0.1, Infinity], counts: [30, 10] } },
      stable: { requests: 400, errors: 0 },
      custom: [{ name: 'accuracy', min: 0.8, canary: 0.9, stable: NaN }],
    });
    expect(asked).toContain('requests{pod="new"} -240 120 2');
    expect(asked).toContain('avg_over_time(accuracy{pod="old"}[60s])');
  });

  it('asks for no latencies when there is no such metric', async () => {
    asked.length = 0;
    await measure(prometheus, { ...queries, latency: 'none', custom: [] }, { canary: 'pod="new"', stable: 'pod="old"' }, 60_000, 120_000);
    expect(asked).toHaveLength(4);
  });
});
