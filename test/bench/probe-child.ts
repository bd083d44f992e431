import { get } from 'node:http';
import type { Probe, Probed } from './probe.ts';

/** Asks the URL every so often, each time on a new connection and whether or not the last was answered; tells of all when told to stop. */
const [url = '', everyMs = ''] = process.argv.slice(2);
const probes: Probe[] = [];
let failed = 0;
let open = 0;
let isStopping = false;

const timer = setInterval(() => {
  const start = performance.now();
  open += 1;
  get(url, { agent: false, timeout: 30_000 }, (response) => {
    response.resume();
    response.on('end', () => {
      if (response.statusCode === 200) probes.push({ startedAt: performance.timeOrigin + start, latencyMs: performance.now() - start });
      else failed += 1;
      finishOne();
    });
  }).on('error', () => {
    failed += 1;
    finishOne();
  });
}, Number(everyMs));

process.once('message', () => {
  clearInterval(timer);
  isStopping = true;
  tellWhenDone();
});

function finishOne(): void {
  open -= 1;
  tellWhenDone();
}

function tellWhenDone(): void {
  if (!isStopping || open > 0) return;
  process.send?.({ probes, failed } satisfies Probed, () => {
    process.disconnect();
  });
}
