import { lstat, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cannotDownload } from './failure.ts';
import type { Journal } from './journal.ts';

/**
 * Which entries of `dir` to rename into `target`: whole folders where there are none yet, files one by one beside what is there. Files replace
 * files, as KServe's initializer does; a file never replaces a folder.
 */
export async function planPlacing(dir: string, target: string, uri: string, below = ''): Promise<string[]> {
  const paths: string[] = [];
  for (const entry of await readdir(join(dir, below), { withFileTypes: true })) {
    const path = below === '' ? entry.name : `${below}/${entry.name}`;
    const kind = await kindAt(join(target, path));
    if (kind === undefined || (kind === 'file' && !entry.isDirectory())) paths.push(path);
    else if (kind === 'folder' && entry.isDirectory()) paths.push(...(await planPlacing(dir, target, uri, path)));
    else
      throw cannotDownload(
        'conflict',
        uri,
        `${join(target, path)} is a ${kind} and the download has something else of that name: remove it or name another destination`,
      );
  }
  return paths;
}

/** Takes back what a download that ended half-way had placed: what stands in its plan and is no longer in its staging. */
export async function removePlaced(target: string, staging: string, journal: Journal | undefined): Promise<void> {
  for (const path of journal?.placing ?? []) {
    if ((await kindAt(join(staging, 'files', path))) === undefined) await rm(join(target, path), { recursive: true, force: true });
  }
}

async function kindAt(path: string): Promise<'file' | 'folder' | undefined> {
  try {
    return (await lstat(path)).isDirectory() ? 'folder' : 'file';
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return undefined;
    throw error;
  }
}
