import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, relative, resolve } from 'node:path';
import { ServingError } from '../core/errors.ts';

/**
 * Writes a file that this program makes, over an earlier one of its own: one that starts with `mark`. Returns the path as people write it. Throws conflict when
 * something else lies there, internal when it cannot be written; the message names `--out`.
 */
export async function replaceFile(path: string, text: string, mark: string): Promise<string> {
  const target = resolve(path);
  const shown = relative('.', target) || target;
  const before = await readIfThere(target, shown);
  if (before !== undefined && !before.startsWith(mark)) {
    throw new ServingError('conflict', `Cannot write ${shown}: a file is there that this command did not write, choose another --out`);
  }
  try {
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, text);
  } catch (error) {
    throw cannotWrite(shown, error);
  }
  return shown;
}

async function readIfThere(path: string, shown: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw cannotWrite(shown, error);
  }
}

function cannotWrite(shown: string, error: unknown): ServingError {
  return new ServingError('internal', `Cannot write ${shown} (--out): ${(error as Error).message}`, { cause: error });
}
