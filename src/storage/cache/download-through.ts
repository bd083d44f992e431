import { constants, chmod, copyFile, mkdir, readdir, readlink, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { SILENT_LOGGER } from '../../core/context.ts';
import { checkDisk, explainDiskFailure } from '../disk.ts';
import { openDownload, type DownloadContext } from '../download.ts';
import { openStaging } from '../staging.ts';
import type { DownloadReport } from '../storage.ts';
import { openModelCache, type CacheOptions } from './model-cache.ts';

/**
 * `download` by way of a cache: what is there needs no fetching, only the listing. The destination gets copies; where the file system knows
 * copy-on-write (XFS, Btrfs) they cost nothing. Hard links would cost nothing anywhere, but the owner of the destination could then write to the cache.
 */
export async function downloadThrough(uri: string, destination: string, options: CacheOptions, ctx: DownloadContext): Promise<DownloadReport> {
  const startedAt = performance.now();
  const cache = await openModelCache(options, ctx.log ?? SILENT_LOGGER);
  const opened = await openDownload(uri, ctx);
  try {
    const cached = opened.localPath === undefined ? await cache.obtain(opened, ctx.signal) : undefined;
    if (cached === undefined) return await opened.to(destination);
    try {
      const copied = await place(cached.dir, destination, uri, ctx);
      const { bytes = 0, retries = 0 } = cached.download ?? {};
      return {
        uri: opened.uri,
        destination,
        bytes,
        files: cached.download?.files ?? copied,
        retries,
        ...cached.report,
        ...(cached.isHit ? { isCached: true } : {}),
        seconds: (performance.now() - startedAt) / 1000,
      };
    } catch (error) {
      throw explainDiskFailure(error, destination, uri);
    } finally {
      await cached.release();
    }
  } finally {
    opened.close();
  }
}

async function place(dir: string, destination: string, uri: string, { signal, isDurable = true }: DownloadContext): Promise<number> {
  const staging = await openStaging(destination, uri, { signal, isDurable });
  let files: number;
  try {
    await checkDisk(staging.dir, destination, 0, uri);
    files = await copyTree(dir, staging.dir, signal);
  } catch (error) {
    await staging.abandon();
    throw error;
  }
  await staging.commit();
  return files;
}

async function copyTree(from: string, to: string, signal: AbortSignal): Promise<number> {
  let files = 0;
  for (const entry of await readdir(from, { withFileTypes: true })) {
    signal.throwIfAborted();
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) {
      await mkdir(target);
      files += await copyTree(source, target, signal);
      continue;
    }
    if (entry.isSymbolicLink()) await symlink(await readlink(source), target);
    else {
      await copyFile(source, target, constants.COPYFILE_FICLONE);
      await chmod(target, 0o644);
    }
    files++;
  }
  return files;
}
