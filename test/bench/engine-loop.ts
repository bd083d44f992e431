import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Figures } from './contenders.ts';
import { percentile } from './statistics.ts';

const SCRIPT = fileURLToPath(new URL('engine-loop.mjs', import.meta.url));

export interface EngineLoop {
  readonly modelPath: string;
  readonly seconds: number;
  /** Of the one input; the first dimension is 1. */
  readonly shape: readonly number[];
  /** Processes side by side. */
  readonly callers: number;
  readonly threads: number;
}

interface Loop {
  readonly rowsPerSecond: number;
  readonly p50Ms: number;
  readonly cpuMsPerRow: number;
  readonly p99Ms: number;
}

/** The engine without a server; figures of all callers together. */
export async function runEngineLoop({ modelPath, seconds, shape, callers, threads }: EngineLoop): Promise<Figures> {
  const args = [SCRIPT, modelPath, String(threads), String(seconds), shape.slice(1).join(',')];
  const loops = await Promise.all(
    Array.from({ length: callers }, async () => {
      const { stdout } = await promisify(execFile)(process.execPath, args);
      return JSON.parse(stdout) as Loop;
    }),
  );
  return {
    perSecond: loops.reduce((sum, loop) => sum + loop.rowsPerSecond, 0),
    p50Ms: percentile(
      loops.map(({ p50Ms }) => p50Ms),
      0.5,
    ),
    p99Ms: Math.max(...loops.map(({ p99Ms }) => p99Ms)),
    cpuMsPerRequest: percentile(
      loops.map(({ cpuMsPerRow }) => cpuMsPerRow),
      0.5,
    ),
  };
}
