import { readFile } from 'node:fs/promises';
import { cpus } from 'node:os';

/** What layouts and kernels are chosen by on this processor. Linux lists it; elsewhere the processor's name stands for it. */
export async function cpuFeatures(): Promise<string> {
  let listed = '';
  try {
    // `flags` on x86, `Features` on ARM; of the first processor, all are alike.
    listed = /^(?:flags|Features)\s*:\s*(.*)$/m.exec(await readFile('/proc/cpuinfo', 'latin1'))?.[1] ?? '';
  } catch {
    // No such file here.
  }
  if (listed === '') return `${process.arch} ${cpus()[0]?.model ?? 'unknown'}`;
  return `${process.arch} ${listed.trim().split(/\s+/).sort().join(' ')}`;
}
