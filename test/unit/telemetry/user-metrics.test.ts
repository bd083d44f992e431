import { describe, expect, it } from 'vitest';
import type { Measurement } from '../../../src/core/batch.ts';
import { SILENT_LOGGER, type Logger } from '../../../src/core/context.ts';
import { createMetrics, type Metrics } from '../../../src/telemetry/index.ts';

function setUp(): { metrics: Metrics; warnings: string[]; lines: (prefix: string, accept?: string) => Promise<string[]> } {
  const warnings: string[] = [];
  const log: Logger = { ...SILENT_LOGGER, warn: (fields) => void warnings.push((fields as { reason: string }).reason) };
  const metrics = createMetrics({ version: '1' }, { log });
  const lines = async (prefix: string, accept?: string): Promise<string[]> =>
    (await metrics.render(accept)).body.split('\n').filter((line) => line.startsWith(prefix));
  return { metrics, warnings, lines };
}

const counter = (name: string, labels: Readonly<Record<string, string>> = {}, value = 1): Measurement => ({
  kind: 'counter',
  name,
  help: 'Help',
  labels,
  value,
});
const histogram = (name: string, value: number, buckets?: readonly number[]): Measurement => ({
  kind: 'histogram',
  name,
  help: 'Help',
  labels: {},
  value,
  ...(buckets === undefined ? {} : { buckets }),
});

describe('metrics of handlers', () => {
  it('are shown under their names with the model, from their first use on, whether metrics were read before or not', async () => {
    const { metrics, warnings, lines } = setUp();
    const a = metrics.queue('a', '1');
    const b = metrics.queue('b', '1');
    a.measured([counter('labels_total', { label: 'seven' }, 2)]);
    expect(await lines('labels_total')).toEqual(['labels_total{model="a",label="seven"} 2']);
    a.measured([counter('labels_total', { label: 'seven' }), histogram('size_bytes', 15, [100, 10, 10, Infinity])]);
    b.measured([counter('labels_total', { label: 'one' })]);
    expect(await lines('labels_total')).toEqual(['labels_total{model="a",label="seven"} 3', 'labels_total{model="b",label="one"} 1']);
    expect(await lines('size_bytes')).toEqual([
      'size_bytes_bucket{le="10",model="a"} 0',
      'size_bytes_bucket{le="100",model="a"} 1',
      'size_bytes_bucket{le="+Inf",model="a"} 1',
      'size_bytes_sum{model="a"} 15',
      'size_bytes_count{model="a"} 1',
    ]);
    expect(await lines('# TYPE labels', 'application/openmetrics-text')).toEqual(['# TYPE labels counter']);
    expect(await lines('labels_total', 'application/openmetrics-text')).toHaveLength(2);
    expect(warnings).toEqual([]);
  });

  it.each([
    ['9lives', {}],
    ['ein name', {}],
    ['', {}],
    ['kserve_node_requests_total', {}],
    ['kserve_node_mine_total', {}],
    ['process_cpu_seconds_total', {}],
    ['request_predict_seconds_count', {}],
    ['request_predict_seconds', {}],
    ['fine', { 'no-label': 'x' }],
    ['fine', { model: 'x' }],
    ['fine', { le: 'x' }],
    ['fine', { __proto: 'x' }],
  ])('refuse the name %j with labels %j, and say so once', async (name, labels) => {
    const { metrics, warnings, lines } = setUp();
    metrics.queue('a', '1').measured([counter(name, labels), counter(name, labels)]);
    expect(warnings).toHaveLength(1);
    expect(await lines('fine')).toEqual([]);
  });

  it.each([
    ['another kind', [counter('x_total'), histogram('x_total', 1)]],
    ['other labels', [counter('x_total', { a: '1' }), counter('x_total', { b: '1' })]],
    ['fewer labels', [counter('x_total', { a: '1' }), counter('x_total')]],
    ['the same name in OpenMetrics', [counter('x'), counter('x_total')]],
    ['a line of a histogram', [histogram('x', 1), counter('x_count')]],
    ['less than nothing', [counter('x'), counter('x', {}, -1)]],
    ['no number', [counter('x'), counter('x', {}, NaN)]],
  ])('keep the first use when a later one has %s', async (_what, measurements) => {
    const { metrics, warnings, lines } = setUp();
    metrics.queue('a', '1').measured(measurements);
    expect(warnings).toHaveLength(1);
    expect(await lines('# TYPE x')).toHaveLength(1);
  });

  it('are limited to 1000 series of a model; those that are there go on', async () => {
    const { metrics, warnings, lines } = setUp();
    const queue = metrics.queue('a', '1');
    for (let i = 0; i < 1500; i++) queue.measured([counter('x_total', { i: String(i) })]);
    queue.measured([counter('x_total', { i: '0' })]);
    metrics.queue('b', '1').measured([counter('x_total', { i: '0' })]);
    const shown = await lines('x_total');
    expect(shown).toHaveLength(1001);
    expect(shown).toContain('x_total{model="a",i="0"} 2');
    expect(warnings).toEqual(['the model has 1000 series already: give labels few values']);
  });
});

it('explanations have a histogram of their own', async () => {
  const { metrics, lines } = setUp();
  const timings = { preprocessMs: 0, predictMs: 0, postprocessMs: 0 };
  metrics.queue('a', '1').batchFinished(1, 5, timings);
  metrics.queue('a', '1').batchFinished(1, 5, { ...timings, explainMs: 20 });
  metrics.handlerRecycled('a');
  expect(await lines('request_explain_seconds_sum')).toEqual(['request_explain_seconds_sum{model_name="a"} 0.02']);
  expect(await lines('request_explain_seconds_count')).toEqual(['request_explain_seconds_count{model_name="a"} 1']);
  expect(await lines('kserve_node_handler_recycled_total')).toEqual(['kserve_node_handler_recycled_total{model="a"} 1']);
});
