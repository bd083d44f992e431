import { describe, expect, it } from 'vitest';
import { linearTicks, logTicks } from '../../../src/bench/chart.ts';
import type { Measurement } from '../../../src/bench/measurement.ts';
import { renderHtml } from '../../../src/bench/render-html.ts';
import { notesOf, renderResult } from '../../../src/bench/render-table.ts';
import type { BenchResult } from '../../../src/bench/run-bench.ts';

const LATENCY = { mean: 2, min: 1, p50: 2, p90: 3, p95: 3, p99: 4, p99_9: 5, max: 6 };

function measured(more: Partial<Measurement>): Measurement {
  return {
    concurrency: 4,
    seconds: 1,
    sent: 100,
    warmupSent: 10,
    right: 100,
    failures: {},
    perSecond: 100,
    bytesReceived: 1000,
    latency: LATENCY,
    curve: [
      [0, 1],
      [50, 2],
      [99, 4],
      [100, 6],
    ],
    generator: { cpuShare: 0.1, loopShare: 0.1, isBottleneck: false },
    ...more,
  };
}

function result(more: Partial<BenchResult>): BenchResult {
  return {
    url: 'http://localhost:1',
    model: 'm',
    protocol: 'rest',
    requestBytes: 10,
    samples: 1,
    startedAt: '2026-01-01T00:00:00.000Z',
    isInterrupted: false,
    sentAlone: 1,
    measurements: [measured({})],
    ...more,
  };
}

describe('renderHtml', () => {
  it('escapes what comes from outside: the model, the address, what servers say', () => {
    const evil = '<script>alert("1")</script>\'&';
    const page = renderHtml(
      result({ model: evil, url: `http://x/${evil}`, measurements: [measured({ right: 99, failures: { [evil]: 1 }, complaint: evil })] }),
    );
    expect(page).not.toContain('<script');
    expect(page).toContain('&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&#39;&amp;');
  });

  it('needs no other host, no script and no file', () => {
    expect(renderHtml(result({}))).not.toMatch(/src=|href=|@import|url\(|<script|<link/);
  });

  it('draws a line for each measurement, and says in words what it shows', () => {
    const page = renderHtml(result({ measurements: [1, 2, 4].map((concurrency) => measured({ concurrency })) }));
    expect(page.match(/<polyline/g)).toHaveLength(3 + 2);
    expect(page.match(/role="img" aria-label="[^"]+"/g)).toHaveLength(2);
    expect(page).not.toContain('NaN');
    expect(page).toContain('prefers-color-scheme:dark');
  });

  it('is a page all the same when nothing was right', () => {
    const page = renderHtml(
      result({ measurements: [measured({ right: 0, perSecond: 0, latency: undefined, curve: [], failures: { timeout: 100 } })] }),
    );
    expect(page).toContain('nothing to draw');
    expect(page).not.toContain('NaN');
  });
});

describe('renderResult', () => {
  it('says what changes the meaning of the figures', () => {
    const notes = notesOf(
      result({
        isInterrupted: true,
        measurements: [
          measured({
            right: 98,
            failures: { 'HTTP 429': 1, timeout: 1 },
            complaint: 'HTTP 429: busy',
            generator: { cpuShare: 1, loopShare: 0.99, isBottleneck: true },
          }),
          measured({ rate: 50, openLoop: { unsent: 3, lateP99Ms: 1 } }),
        ],
      }),
    );
    expect(notes).toEqual([
      'Broken off: the last line stands on less than was asked for, and others may be missing.',
      '4 at a time: failed 1 HTTP 429, 1 timeout; the first said: HTTP 429: busy',
      '4 at a time: the load generator was busy all the time; the server may be faster than this.',
      '50 a second: 3 requests that were due were never sent, all of --max_in_flight were under way.',
    ]);
  });

  it('lines its columns up', () => {
    const lines = renderResult(result({ measurements: [measured({}), measured({ concurrency: 16, perSecond: 12_345.6 })] }))
      .split('\n')
      .slice(2, 5);
    expect(new Set(lines.map((line) => line.length)).size).toBe(1);
    expect(lines[2]).toContain('12346');
  });
});

describe('ticks', () => {
  it.each([
    [0.3, 18, [0.2, 0.5, 1, 2, 5, 10, 20]],
    [1, 1, [1, 2]],
    [100, 900, [100, 200, 500, 1000]],
  ])('logarithmic from %d to %d', (min, max, ticks) => {
    expect(logTicks(min, max)).toEqual(ticks);
  });

  it.each([
    [4506, [0, 1000, 2000, 3000, 4000, 5000]],
    [1, [0, 0.2, 0.4, 0.6, 0.8, 1]],
  ])('linear up to %d', (max, ticks) => {
    expect(linearTicks(max)).toEqual(ticks);
  });
});
