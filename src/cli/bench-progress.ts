import type { Progress } from '../bench/index.ts';
import { renderBar } from './progress-bar.ts';

/** One state of a run: a bar that redraws its line on a terminal, else a JSON object on a line of its own. */
export function renderBenchProgress({ step, steps, isWarmingUp, done, right, failed }: Progress, isTerminal: boolean): string {
  if (!isTerminal) {
    return `${JSON.stringify({ message: isWarmingUp ? 'Warming up' : 'Measuring', step: step + 1, steps, done: Number(done.toFixed(3)), right, failed })}\n`;
  }
  const what = isWarmingUp ? 'warming up' : `${right} right${failed === 0 ? '' : `, ${failed} failed`}`;
  return `${renderBar(done)}  ${step + 1} of ${steps}  ${what}`;
}
