import { chmod, lstat, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ServingError } from '../../core/errors.ts';

/**
 * Where a cache keeps what, below the directory that it was given:
 *
 *     kserve-node-<uid>/            of one user, 0700: pods of different users share nothing, whatever the volume's own mode
 *       entries/<key>/              a whole model: manifest.json and files/; comes by one rename and goes by one
 *       staging/<name>/             one on its way in or out
 *       locks/<key>                 who fetches it
 *       uses/<key>.<name>           who serves it
 *       known/<name>                what was found out about files elsewhere; made with the first of it
 */
export interface CacheFolders {
  readonly root: string;
  readonly entries: string;
  readonly staging: string;
  readonly locks: string;
  readonly uses: string;
  readonly known: string;
}

export async function makeCacheFolders(dir: string): Promise<CacheFolders> {
  const uid = process.getuid?.() ?? 0;
  const root = join(dir, `kserve-node-${uid}`);
  const folders = {
    root,
    entries: join(root, 'entries'),
    staging: join(root, 'staging'),
    locks: join(root, 'locks'),
    uses: join(root, 'uses'),
    known: join(root, 'known'),
  };
  try {
    await mkdir(root, { recursive: true, mode: 0o700 });
    await checkOwner(root, uid);
    for (const folder of [folders.entries, folders.staging, folders.locks, folders.uses]) await mkdir(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error) || !('syscall' in error)) throw error;
    const fix = 'mount a volume there that this user may write to (an emptyDir), or name another directory with --model_cache';
    throw new ServingError('internal', `Cannot keep models in ${dir}: ${String(error.code)}, ${fix}`, { cause: error });
  }
  return folders;
}

/** In a directory that everybody may write to, somebody else could have made ours first. */
async function checkOwner(root: string, uid: number): Promise<void> {
  const found = await lstat(root);
  if (!found.isDirectory() || (process.getuid !== undefined && found.uid !== uid)) {
    throw new ServingError(
      'internal',
      `Cannot keep models in ${root}: expected a directory of user ${uid}, got ${found.isDirectory() ? `one of user ${found.uid}` : 'something else'}, ` +
        'remove it or name another directory with --model_cache',
    );
  }
  if ((found.mode & 0o077) !== 0) await chmod(root, 0o700);
}
