import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** In the order in which they are looked for. */
const NAMES = ['handler.ts', 'handler.mts', 'handler.js', 'handler.mjs'] as const;

/** The handler that lies in the first of `paths` that has one; of a path that is a file, beside it. Undefined when there is none. */
export async function findModelHandler(...paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) {
    const directory = (await isFile(path)) ? dirname(path) : path;
    for (const name of NAMES) {
      const handler = join(directory, name);
      if (await isFile(handler)) return handler;
    }
  }
  return undefined;
}

/** False as well when nothing is there, or it cannot be read. */
export async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}
