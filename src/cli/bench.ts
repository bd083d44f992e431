import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { readPlan, renderHtml, renderJson, renderResult, runBench, type BenchPlan, type BenchResult, type Progress } from '../bench/index.ts';
import { isServingError } from '../core/errors.ts';
import { InferenceError } from '../client/index.ts';
import { refuseArguments } from './arguments.ts';
import { renderBenchProgress } from './bench-progress.ts';
import { EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, oneLine, type Host } from './host.ts';
import { watchStopSignals } from './stop-signals.ts';

const PROGRESS_MS = 1000;

/** `bench`: loads a server, or a model with a server of ours, and tells how fast it answers. */
export async function runBenchVerb(args: readonly string[], host: Host): Promise<number> {
  const plan = readPlan(args);
  if ('problems' in plan) return refuseArguments(plan.problems, host);
  const stop = watchStopSignals(host, {
    again: () => {
      host.exit(EXIT_INTERRUPTED);
    },
  });
  const show = createShow(host);
  try {
    const program = [fileURLToPath(new URL('../main.cjs', import.meta.url))];
    const result = await runBench(plan, { signal: stop.signal, program, onProgress: show.progress, onMeasured: show.clear });
    show.clear();
    await writeResult(result, plan, host);
    if (result.isInterrupted) return EXIT_INTERRUPTED;
    return isGoodEnough(result, plan.result.maxErrorRatio, host) ? EXIT_OK : EXIT_FAILED;
  } catch (error) {
    show.clear();
    if (!isServingError(error) && !(error instanceof InferenceError)) throw error;
    host.stderr.write(`${oneLine(error.message)}\n`);
    return EXIT_FAILED;
  } finally {
    stop.release();
  }
}

async function writeResult(result: BenchResult, { result: { json, html } }: BenchPlan, host: Host): Promise<void> {
  host.stdout.write(renderResult(result));
  for (const [path, render] of [
    [json, renderJson],
    [html, renderHtml],
  ] as const) {
    if (path === undefined) continue;
    try {
      await writeFile(path, render(result));
    } catch (error) {
      host.stderr.write(`Cannot write ${path}: ${error instanceof Error ? error.message : String(error)}\n`);
    }
  }
}

function isGoodEnough({ measurements }: BenchResult, maxErrorRatio: number, host: Host): boolean {
  let [sent, right] = [0, 0];
  for (const measurement of measurements) {
    sent += measurement.sent;
    right += measurement.right;
  }
  const ratio = sent === 0 ? 0 : (sent - right) / sent;
  if (ratio <= maxErrorRatio) return true;
  host.stderr.write(`${sent - right} of ${sent} requests failed (${(ratio * 100).toFixed(2)} %), more than --max_error_ratio=${maxErrorRatio}\n`);
  return false;
}

/** A bar that is drawn again and again on a terminal, else a line of JSON each second. */
function createShow(host: Host): { readonly progress: (progress: Progress) => void; readonly clear: () => void } {
  const isTerminal = host.stderr.isTTY === true;
  let lastAt = performance.now();
  return {
    progress: (progress) => {
      const now = performance.now();
      if (!isTerminal && now - lastAt < PROGRESS_MS) return;
      lastAt = now;
      host.stderr.write(renderBenchProgress(progress, isTerminal));
    },
    clear: () => {
      if (isTerminal) host.stderr.write('\r\u001b[K');
    },
  };
}
