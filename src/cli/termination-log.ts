import { closeSync, constants, openSync, writeSync } from 'node:fs';

/** What the kubelet keeps of the file. */
const MAX_BYTES = 4096;

/** Writes the reason of the end where Kubernetes looks for it. Does nothing where no such file is, or it cannot be written. */
export function writeTerminationLog(reason: string, path: string): void {
  try {
    // Without O_CREAT: outside Kubernetes no file shall appear.
    const file = openSync(path, constants.O_WRONLY | constants.O_TRUNC);
    try {
      writeSync(file, Buffer.from(reason).subarray(0, MAX_BYTES));
    } finally {
      closeSync(file);
    }
  } catch {
    // No such place to write to: stderr has the reason already.
  }
}
