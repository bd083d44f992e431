import { LINE_COLORS, linearTicks, renderChart, renderLegend, type Chart, type ChartLine, type Tick } from './chart.ts';
import { escapeHtml } from './escape-html.ts';
import type { Measurement } from './measurement.ts';
import { formatMs, formatNumber, notesOf, tableColumns, tableRow } from './render-table.ts';
import type { BenchResult } from './run-bench.ts';

/** One page that needs nothing else: no scripts, no fonts, no other host. Light and dark by the reader's setting. */
export function renderHtml(result: BenchResult): string {
  const { url, model, protocol, requestBytes, startedAt } = result;
  const measured = result.measurements.filter(({ curve }) => curve.length > 0);
  const name = model === '' ? url : model;
  const notes = notesOf(result).map((note) => `<li>${escapeHtml(note)}</li>`);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(`Load on ${name}`)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${escapeHtml(`Load on ${name}`)}</h1>
<p>${escapeHtml(`${url}, ${protocol}, ${requestBytes} bytes a request, started ${startedAt}.`)}</p>
${notes.length === 0 ? '' : `<ul class="notes">${notes.join('')}</ul>`}
${measured.length === 0 ? '<p>No request was answered rightly: there is nothing to draw.</p>' : renderFigures(measured)}
<h2>Figures</h2>
${renderTable(result)}
</main>
</body>
</html>
`;
}

function renderFigures(measured: readonly Measurement[]): string {
  const percentiles = percentileChart(measured);
  const sweep = sweepChart(measured);
  return [percentiles, sweep]
    .map(
      (chart) =>
        `<figure>\n<h2>${escapeHtml(chart.title)}</h2>\n${renderLegend(chart.lines)}\n${renderChart(chart)}\n<figcaption>${escapeHtml(chart.description)}</figcaption>\n</figure>`,
    )
    .join('\n');
}

/** Every further nine takes as much room as the one before. */
function percentileX(percentile: number): number {
  return -Math.log10(1 - percentile / 100);
}

const PERCENTILE_TICKS = [0, 50, 90, 99, 99.9, 99.99, 99.999];

function percentileChart(measured: readonly Measurement[]): Chart {
  const lines = measured.map((measurement): ChartLine => {
    const points = measurement.curve
      .filter(([percentile]) => percentile < 100)
      .map(([percentile, ms]) => ({ x: percentileX(percentile), y: ms, label: `${percentile} %: ${formatMs(ms)} ms` }));
    return { name: nameOf(measurement), points };
  });
  const furthest = Math.max(...lines.flatMap(({ points }) => points.map(({ x }) => x)));
  const end = PERCENTILE_TICKS.findIndex((percentile) => percentileX(percentile) >= furthest);
  const xTicks = PERCENTILE_TICKS.slice(0, end < 0 ? undefined : Math.max(2, end + 1)).map((percentile): Tick => {
    return { at: percentileX(percentile), label: `${percentile} %` };
  });
  return {
    title: 'Latency by percentile',
    description: 'How many milliseconds that share of the answers took at most, for each measurement.',
    xTitle: 'share of answers',
    yTitle: 'milliseconds',
    xTicks,
    lines,
  };
}

function sweepChart(measured: readonly Measurement[]): Chart {
  const line = (name: string, pick: (measurement: Measurement) => number | undefined): ChartLine => ({
    name,
    points: measured.map((measurement) => {
      const ms = pick(measurement) ?? 0;
      return {
        x: measurement.perSecond,
        y: ms,
        label: `${formatMs(ms)} ms at ${formatNumber(measurement.perSecond)} a second, ${nameOf(measurement)}`,
        mark: formatNumber(measurement.rate ?? measurement.concurrency ?? 0),
      };
    }),
  });
  return {
    title: 'Latency by throughput',
    description:
      'Half and 99 % of the answers took at most so long while so many came a second; one point for each measurement, with how many were under way or due a second.',
    xTitle: 'right answers a second',
    yTitle: 'milliseconds',
    xTicks: linearTicks(Math.max(...measured.map(({ perSecond }) => perSecond))).map((at) => ({ at, label: String(at) })),
    lines: [line('p50', ({ latency }) => latency?.p50), line('p99', ({ latency }) => latency?.p99)],
  };
}

function nameOf({ concurrency, rate }: Measurement): string {
  return rate === undefined ? `${concurrency ?? 0} at a time` : `${formatNumber(rate)} a second`;
}

function renderTable(result: BenchResult): string {
  const head = tableColumns(result).map((column) => `<th scope="col">${escapeHtml(column)}</th>`);
  const rows = result.measurements.map((measurement) => {
    const [first = '', ...cells] = tableRow(measurement);
    return `<tr><th scope="row">${escapeHtml(first)}</th>${cells.map((cell) => `<td>${escapeHtml(cell)}</td>`).join('')}</tr>`;
  });
  return `<div class="scroll" role="region" aria-label="Figures" tabindex="0"><table><thead><tr>${head.join('')}</tr></thead><tbody>\n${rows.join('\n')}\n</tbody></table></div>`;
}

const LIGHT = ['#0b62c4', '#b0480a', '#1b7a3d', '#8a2fb8', '#9a6a00', '#0d7480'];
const DARK = ['#6cb0ff', '#ff9d5c', '#67d391', '#d59bff', '#f0c14b', '#5fd3e0'];

function colors(values: readonly string[]): string {
  return values
    .slice(0, LINE_COLORS)
    .map((value, index) => `--line-${index}:${value};`)
    .join('');
}

const STYLE = `
:root{color-scheme:light dark;--ink:#1b1f24;--faint:#5b6470;--paper:#fff;--rule:#d7dce2;${colors(LIGHT)}}
@media (prefers-color-scheme:dark){:root{--ink:#e8eaed;--faint:#a8b0ba;--paper:#15181c;--rule:#3a4149;${colors(DARK)}}}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:60rem;margin:0 auto;padding:1.5rem}
h1{font-size:1.5rem;overflow-wrap:anywhere}h2{font-size:1.15rem;margin:2rem 0 .5rem}
p{overflow-wrap:anywhere}figure{margin:0}figcaption{color:var(--faint);font-size:.9rem}
figure>svg{width:100%;height:auto}svg text{fill:var(--faint);font-size:12px}.grid line{stroke:var(--rule);stroke-width:1}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;margin:0;padding:0;font-size:.9rem}
.legend svg{width:24px;height:8px;margin-right:.4rem;vertical-align:middle}
.notes{border-left:4px solid var(--line-1);margin:1rem 0;padding:.25rem 0 .25rem 1.75rem}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;white-space:nowrap}
th,td{padding:.3rem .75rem;text-align:right;border-bottom:1px solid var(--rule)}thead th{color:var(--faint);font-weight:600}
`;
