import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const MAIN = fileURLToPath(new URL('../../dist/main.cjs', import.meta.url));

/** What `kserve-node bench --json` writes of one measurement, as far as it is read here. */
export interface Measured {
  readonly seconds: number;
  readonly sent: number;
  readonly right: number;
  readonly failures: Readonly<Record<string, number>>;
  readonly requests_per_second: number;
  /** Null without right answers. */
  readonly latency_ms?: { readonly p50: number; readonly p99: number };
  readonly generator: { readonly cpu_share: number; readonly is_bottleneck: boolean };
  readonly server?: { readonly cpu_ms_per_request: number; readonly cpu_share: number; readonly rss_mib: number };
}

/** Runs the product's own load generator in a process of its own, so that the driver takes no part of what is measured. `flags` without the dashes. */
export async function generateLoad(flags: Readonly<Record<string, string | number | undefined>>): Promise<readonly Measured[]> {
  const folder = mkdtempSync(join(tmpdir(), 'kserve-node-bench-'));
  try {
    const json = join(folder, 'result.json');
    const all: typeof flags = { max_error_ratio: 1, ...flags, json };
    const given = Object.entries(all).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}=${value}`]));
    await promisify(execFile)(process.execPath, [MAIN, 'bench', ...given]).catch((error: unknown) => {
      const words = typeof error === 'object' && error !== null && 'stderr' in error ? String(error.stderr).trim().split('\n').at(-1) : String(error);
      throw new Error(`Cannot measure ${String(flags['url'])}: ${words ?? ''}`, { cause: error });
    });
    return (JSON.parse(readFileSync(json, 'utf8')) as { readonly measurements: readonly Measured[] }).measurements;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
