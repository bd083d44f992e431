import { escapeHtml } from './escape-html.ts';

export interface ChartPoint {
  readonly x: number;
  readonly y: number;
  /** Shown when somebody points at it. */
  readonly label: string;
  /** Stands beside it. */
  readonly mark?: string;
}

export interface ChartLine {
  readonly name: string;
  readonly points: readonly ChartPoint[];
}

export interface Tick {
  readonly at: number;
  readonly label: string;
}

export interface Chart {
  /** Also the accessible name; `description` says in words what the lines show. */
  readonly title: string;
  readonly description: string;
  readonly xTitle: string;
  readonly yTitle: string;
  /** In units of the points' own x. */
  readonly xTicks: readonly Tick[];
  readonly lines: readonly ChartLine[];
}

const WIDTH = 760;
const HEIGHT = 360;
const PLOT = { left: 64, right: 40, top: 20, bottom: 48 };

/** A line chart as inline SVG: x linear between the outermost ticks, y logarithmic. Colours are the page's `--line-N`, of which there are LINE_COLORS. */
export function renderChart(chart: Chart): string {
  const { xTicks, lines } = chart;
  const points = lines.flatMap((line) => line.points);
  const [xMin, xMax] = [xTicks[0]?.at ?? 0, xTicks.at(-1)?.at ?? 1];
  const yTicks = logTicks(Math.min(...points.map(({ y }) => y)), Math.max(...points.map(({ y }) => y)));
  const [yMin, yMax] = [Math.log10(yTicks[0] ?? 1), Math.log10(yTicks.at(-1) ?? 10)];
  const bottom = HEIGHT - PLOT.bottom;
  const right = WIDTH - PLOT.right;
  const toX = (x: number): number => PLOT.left + ((x - xMin) / (xMax - xMin || 1)) * (right - PLOT.left);
  const toY = (y: number): number => bottom - ((Math.log10(Math.max(y, 1e-9)) - yMin) / (yMax - yMin || 1)) * (bottom - PLOT.top);
  const grid = [
    ...yTicks.map((tick) => gridLine(PLOT.left, toY(tick), right, toY(tick)) + text(PLOT.left - 8, toY(tick) + 4, 'end', String(tick))),
    ...xTicks.map(({ at, label }) => gridLine(toX(at), PLOT.top, toX(at), bottom) + text(toX(at), bottom + 18, 'middle', label)),
  ];
  const drawn = lines.map((line, index) => drawLine(line, index, toX, toY));
  return [
    `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeHtml(`${chart.title}: ${chart.description}`)}">`,
    `<g class="grid">${grid.join('')}</g>`,
    text((PLOT.left + right) / 2, HEIGHT - 8, 'middle', chart.xTitle),
    `<text x="14" y="${(PLOT.top + bottom) / 2}" text-anchor="middle" transform="rotate(-90 14 ${(PLOT.top + bottom) / 2})">${escapeHtml(chart.yTitle)}</text>`,
    ...drawn,
    '</svg>',
  ].join('\n');
}

/** Colours that tell lines apart; further lines are dashed in the same. */
export const LINE_COLORS = 6;

/** Which line is which. */
export function renderLegend(lines: readonly ChartLine[]): string {
  const items = lines.map(
    ({ name }, index) =>
      `<li><svg viewBox="0 0 24 8" aria-hidden="true"><line x1="0" y1="4" x2="24" y2="4" ${stroke(index)}/></svg>${escapeHtml(name)}</li>`,
  );
  return `<ul class="legend">${items.join('')}</ul>`;
}

function drawLine({ name, points }: ChartLine, index: number, toX: (x: number) => number, toY: (y: number) => number): string {
  const path = points.map(({ x, y }) => `${toX(x).toFixed(1)},${toY(y).toFixed(1)}`).join(' ');
  const color = `var(--line-${index % LINE_COLORS})`;
  const marks = points.map(({ x, y, label, mark }) => {
    const title = `<title>${escapeHtml(`${name}: ${label}`)}</title>`;
    const circle = `<circle cx="${toX(x).toFixed(1)}" cy="${toY(y).toFixed(1)}" r="${mark === undefined ? 2 : 4}" fill="${color}">${title}</circle>`;
    return mark === undefined ? circle : circle + text(toX(x), toY(y) - 8, 'middle', mark);
  });
  return `<polyline points="${path}" fill="none" ${stroke(index)}/>${marks.join('')}`;
}

function stroke(index: number): string {
  const dash = index < LINE_COLORS ? '' : ` stroke-dasharray="${4 * Math.floor(index / LINE_COLORS)} 3"`;
  return `stroke="var(--line-${index % LINE_COLORS})" stroke-width="2"${dash}`;
}

function gridLine(x1: number, y1: number, x2: number, y2: number): string {
  return `<line x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}"/>`;
}

function text(x: number, y: number, anchor: 'start' | 'middle' | 'end', content: string): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}">${escapeHtml(content)}</text>`;
}

/** 1, 2, 5, 10, … from at most `min` to at least `max`. */
export function logTicks(min: number, max: number): readonly number[] {
  const low = Number.isFinite(min) && min > 0 ? min : 1;
  const high = Number.isFinite(max) && max > low ? max : low * 2;
  const ticks: number[] = [];
  for (let exponent = Math.floor(Math.log10(low)); exponent <= Math.ceil(Math.log10(high)); exponent++) {
    for (const digit of [1, 2, 5]) ticks.push(Number((digit * 10 ** exponent).toPrecision(1)));
  }
  const first = ticks.findLastIndex((tick) => tick <= low);
  const last = ticks.findIndex((tick) => tick >= high);
  return ticks.slice(Math.max(0, first), last + 1);
}

/** Round numbers from 0 to at least `max`, about five. */
export function linearTicks(max: number): readonly number[] {
  const rough = Math.max(max, 1e-9) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const unit = [1, 2, 5, 10].map((digit) => digit * power).find((candidate) => candidate >= rough) ?? 10 * power;
  const count = Math.ceil(max / unit);
  return Array.from({ length: count + 1 }, (_, index) => Number((index * unit).toPrecision(6)));
}
