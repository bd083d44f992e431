import { statfs } from 'node:fs/promises';
import { isServingError, ServingError } from '../core/errors.ts';
import { cannotDownload, showUri } from './failure.ts';

export async function freeBytes(dir: string): Promise<number> {
  const { bavail, bsize } = await statfs(dir);
  return bavail * bsize;
}

/** Before the first byte is fetched: a full volume at the end costs the whole download. */
export async function checkDisk(dir: string, destination: string, needed: number, uri: string): Promise<void> {
  const free = await freeBytes(dir);
  if (needed <= free) return;
  throw cannotDownload('internal', uri, `${destination} has ${free} bytes free and ${needed} are needed, give its volume more room`);
}

const DISK_FAULTS: Readonly<Record<string, string>> = {
  ENOSPC: 'no room left, give its volume more',
  EDQUOT: 'the quota is used up, raise it',
  EROFS: 'a read-only file system, name another destination',
  EACCES: 'no permission to write, check the owner of the destination and runAsUser',
  EPERM: 'not permitted, check the owner of the destination and runAsUser',
  ENOTDIR: 'a part of the path is a file, name another destination',
  EMFILE: 'too many open files, raise the limit (ulimit -n)',
  EIO: 'the disk failed, name another destination',
};

/** One line for faults of the file system; anything else as it is. */
export function explainDiskFailure(error: unknown, destination: string, uri: string): unknown {
  if (isServingError(error) || !(error instanceof Error) || !('code' in error) || !('syscall' in error)) return error;
  const fault = DISK_FAULTS[String(error.code)];
  if (fault === undefined) return error;
  return new ServingError('internal', `Cannot download ${showUri(uri)} to ${destination}: ${fault} (${String(error.code)})`, { cause: error });
}
