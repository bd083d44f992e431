import { describe, expect, it } from 'vitest';
import { SILENT_LOGGER } from '../../../src/core/context.ts';
import { HandlerMetrics } from '../../../src/pipeline/handler-metrics.ts';

function metrics(): { readonly metrics: HandlerMetrics; readonly warnings: string[] } {
  const warnings: string[] = [];
  return { warnings, metrics: new HandlerMetrics({ ...SILENT_LOGGER, warn: (_fields, message) => void warnings.push(message) }) };
}

describe("a handler's metrics", () => {
  it('wait for the next answer, and go with it once', () => {
    const { metrics: own } = metrics();
    own.counter('images_total', 'Images seen').increment({ kind: 'png' }, 2);
    own.histogram('pixels', 'Pixels an image', [10, 100]).observe(64);
    expect(own.take()).toEqual([
      { kind: 'counter', name: 'images_total', help: 'Images seen', labels: { kind: 'png' }, value: 2 },
      { kind: 'histogram', name: 'pixels', help: 'Pixels an image', buckets: [10, 100], labels: {}, value: 64 },
    ]);
    expect(own.take()).toBeUndefined();
  });

  it.each([
    ['a name that is none', (own: HandlerMetrics) => own.counter('images-total', 'x'), 'expected a name of letters, digits and _'],
    ['no help', (own: HandlerMetrics) => own.counter('a', ''), 'expected a help text'],
    ['one name for two kinds', (own: HandlerMetrics) => [own.counter('a', 'x'), own.histogram('a', 'x')], 'there is a counter of that name'],
    [
      'a negative increment',
      (own: HandlerMetrics) => {
        own.counter('a', 'x').increment({}, -1);
      },
      'expected a number from 0 on',
    ],
    [
      'no number',
      (own: HandlerMetrics) => {
        own.histogram('a', 'x').observe(NaN);
      },
      'expected a finite number',
    ],
    ['buckets that fall', (own: HandlerMetrics) => own.histogram('a', 'x', [2, 1]), 'finite buckets that rise'],
    [
      'a reserved label',
      (own: HandlerMetrics) => {
        own.counter('a', 'x').increment({ le: '1' });
      },
      'with label "le"',
    ],
    [
      'other labels than at first',
      (own: HandlerMetrics) => {
        own.counter('a', 'x').increment({ b: '1' });
        own.counter('a', 'x').increment();
      },
      'it was first used with b',
    ],
    [
      'a hundred and one metrics',
      (own: HandlerMetrics) => Array.from({ length: 101 }, (_, i) => own.counter(`a${i}`, 'x')),
      'there are 100 metrics already',
    ],
  ])('refuse %s', (_what, use, message) => {
    expect(() => {
      use(metrics().metrics);
    }).toThrow(message);
  });

  it('lose what exceeds a thousand combinations of labels, and say so once', () => {
    const { metrics: own, warnings } = metrics();
    const counter = own.counter('a', 'x');
    for (let i = 0; i < 1100; i++) counter.increment({ user: String(i) });
    counter.increment({ user: '5' });
    expect(own.take()).toHaveLength(1001);
    expect(warnings).toEqual(['A measurement of the handler is lost: it has 1000 combinations of labels already; later losses are not logged']);
  });

  it('lose what no answer takes along in time', () => {
    const { metrics: own, warnings } = metrics();
    const counter = own.counter('a', 'x');
    for (let i = 0; i < 10_001; i++) counter.increment();
    expect(own.take()).toHaveLength(10_000);
    expect(warnings).toHaveLength(1);
  });
});
