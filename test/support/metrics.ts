import { until } from './until.ts';

/** The samples of `GET /metrics` by their text before the value, e.g. `kserve_node_queue_depth{model="slow"}`. */
export async function readMetrics(url: string): Promise<ReadonlyMap<string, number>> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const samples = new Map<string, number>();
  for (const line of text.split('\n')) {
    const space = line.lastIndexOf(' ');
    if (space > 0 && !line.startsWith('#')) samples.set(line.slice(0, space), Number(line.slice(space + 1)));
  }
  return samples;
}

/** Waits until the server shows that value; a sample that is not there is 0. */
export async function untilMetric(url: string, sample: string, value: number): Promise<void> {
  let got: number | undefined;
  let asked: Promise<void> | undefined;
  await until(() => {
    asked ??= readMetrics(url).then((samples) => {
      got = samples.get(sample) ?? 0;
      asked = undefined;
    });
    return got === value;
  });
  await asked;
}
