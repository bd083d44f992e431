// Keeps THREADS threads busy for MILLISECONDS, as a model that computes does: the load beside which the idle server is probed.
//     node burner.mjs THREADS MILLISECONDS
import { Worker, isMainThread, workerData } from 'node:worker_threads';

if (isMainThread) {
  const [threads, milliseconds] = process.argv.slice(2).map(Number);
  for (let thread = 0; thread < threads; thread++) new Worker(new URL(import.meta.url), { workerData: milliseconds });
} else {
  const end = performance.now() + workerData;
  let sum = 0;
  while (performance.now() < end) for (let step = 0; step < 1e5; step++) sum += Math.sqrt(step);
  if (sum < 0) process.stdout.write('never');
}
