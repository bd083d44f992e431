import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import { SILENT_LOGGER, type Logger } from '../../../src/core/context.ts';
import { ServingError } from '../../../src/core/errors.ts';

/** A directory of its own for the running test; a path that ends in `/` is a directory, `a -> b` a symbolic link, anything else a file. */
export function makeFiles(...paths: readonly string[]): string {
  const root = mkdtempSync(join(tmpdir(), 'repository-'));
  onTestFinished(() => {
    rmSync(root, { recursive: true, force: true });
  });
  addFiles(root, ...paths);
  return root;
}

export function addFiles(root: string, ...paths: readonly string[]): void {
  for (const path of paths) {
    const [name = '', target] = path.split(' -> ');
    const full = join(root, name);
    mkdirSync(name.endsWith('/') ? full : dirname(full), { recursive: true });
    if (target !== undefined) symlinkSync(target, full);
    else if (!name.endsWith('/')) writeFileSync(full, '');
  }
}

/** Stands for the engines: a model is `model.onnx`, or a directory with one. */
export function detect(path: string): Promise<unknown> {
  const isModel = existsSync(path) && (statSync(path).isDirectory() ? existsSync(join(path, 'model.onnx')) : path.endsWith('.onnx'));
  return isModel ? Promise.resolve() : Promise.reject(new ServingError('model_failed', `Cannot load model ${path}: nothing there`));
}

export function collectingLogger(lines: string[]): Logger {
  const write = (_fields: object, message: string): void => void lines.push(message);
  const log: Logger = { ...SILENT_LOGGER, warn: write, error: write, child: () => log };
  return log;
}
