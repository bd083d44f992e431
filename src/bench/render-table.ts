import type { Measurement } from './measurement.ts';
import type { BenchResult } from './run-bench.ts';

/** For a terminal: what was asked, a line for each measurement, and what the reader should know of them. */
export function renderResult(result: BenchResult): string {
  const { url, model, protocol, requestBytes, samples, measurements } = result;
  const what = model === '' ? url : `model ${model} of ${url}`;
  const head = `${what}, ${protocol}, ${requestBytes} bytes a request, ${samples} different ${samples === 1 ? 'request' : 'requests'}`;
  const rows = measurements.map(tableRow);
  const columns = tableColumns(result);
  const widths = columns.map((column, index) => Math.max(column.length, ...rows.map((row) => row[index]?.length ?? 0)));
  const line = (cells: readonly string[]): string => `${widths.map((width, index) => (cells[index] ?? '').padStart(width)).join('  ')}\n`;
  const notes = notesOf(result).map((note) => `${note}\n`);
  return `${head}\n\n${line(columns)}${rows.map(line).join('')}${notes.length === 0 ? '' : '\n'}${notes.join('')}`;
}

/** Headings of `tableRow`. */
export function tableColumns({ measurements }: BenchResult): readonly string[] {
  const isOpen = measurements[0]?.rate !== undefined;
  const own = hasServer(measurements) ? ['server CPU ms/request', 'server MiB'] : [];
  return [isOpen ? 'requests/s due' : 'concurrency', 'requests/s', 'p50 ms', 'p90 ms', 'p99 ms', 'p99.9 ms', 'max ms', 'failed', ...own, 'own CPU'];
}

export function tableRow(measurement: Measurement): readonly string[] {
  const { concurrency, rate, latency, right, sent, server, generator } = measurement;
  const latencies = [latency?.p50, latency?.p90, latency?.p99, latency?.p99_9, latency?.max].map((each) =>
    each === undefined ? '-' : formatMs(each),
  );
  const own = server === undefined ? [] : [server.cpuMsPerRequest.toFixed(3), server.rssMiB.toFixed(0)];
  return [
    formatNumber(rate ?? concurrency ?? 0),
    formatNumber(measurement.perSecond),
    ...latencies,
    formatNumber(sent - right),
    ...own,
    `${(generator.cpuShare * 100).toFixed(0)} %`,
  ];
}

function hasServer(measurements: readonly Measurement[]): boolean {
  return measurements.some(({ server }) => server !== undefined);
}

/** What changes the meaning of the figures, one sentence each. */
export function notesOf({ measurements, isInterrupted }: BenchResult): readonly string[] {
  const notes: string[] = [];
  if (isInterrupted) notes.push('Broken off: the last line stands on less than was asked for, and others may be missing.');
  for (const measurement of measurements) {
    const { failures, complaint, generator, openLoop, concurrency, rate } = measurement;
    const which = rate === undefined ? `${concurrency ?? 0} at a time` : `${formatNumber(rate)} a second`;
    const counts = Object.entries(failures).map(([name, count]) => `${formatNumber(count)} ${name}`);
    if (counts.length > 0) notes.push(`${which}: failed ${counts.join(', ')}; the first said: ${complaint ?? 'nothing'}`);
    if (openLoop !== undefined && openLoop.unsent > 0) {
      notes.push(`${which}: ${formatNumber(openLoop.unsent)} requests that were due were never sent, all of --max_in_flight were under way.`);
    }
    if (generator.isBottleneck) notes.push(`${which}: the load generator was busy all the time; the server may be faster than this.`);
  }
  return notes;
}

export function formatMs(milliseconds: number): string {
  return milliseconds >= 100 ? milliseconds.toFixed(0) : milliseconds >= 10 ? milliseconds.toFixed(1) : milliseconds.toFixed(2);
}

export function formatNumber(value: number): string {
  return value >= 100 || Number.isInteger(value) ? Math.round(value).toString() : value.toFixed(1);
}
