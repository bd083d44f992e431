import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { archiveFormat } from './archive/format.ts';
import type { RemoteFile } from './storage.ts';

export interface ContentVersion {
  /** 64 hexadecimal digits. */
  readonly digest: string;
  /** Two of the same digest have the same bytes. False where the store tells neither versions nor checksums of its files. */
  readonly isCertain: boolean;
}

interface AskedChecks {
  readonly sha256: string | undefined;
  readonly publicKey: string | undefined;
  readonly signatureFile: string | undefined;
}

/** Raised when what lies on disk after a download is no longer the same for the same listing. */
const FORMAT = 1;

export const NO_CONTENT: ContentVersion = { digest: '0'.repeat(64), isCertain: false };

/**
 * Of the store, the paths and their versions, and of the checks: what passed a signature is not the same as what nobody looked at. An archive with a pin
 * or a signature is never taken for one seen before: once it is unpacked nothing can be compared with the pin.
 */
export async function versionOfListing(identity: string, files: readonly RemoteFile[], checks: AskedChecks): Promise<ContentVersion> {
  const { sha256, publicKey, signatureFile } = checks;
  const hash = createHash('sha256');
  const add = (...values: readonly unknown[]): void => {
    hash.update(`${JSON.stringify(values)}\n`);
  };
  add(FORMAT, identity, sha256 ?? '', publicKey ?? '', signatureFile === undefined ? '' : await readFile(signatureFile, 'base64'));
  for (const { path, key, size, etag, checksum } of files) add(path, key, size ?? -1, etag ?? '', checksum?.algorithm ?? '', checksum?.hex ?? '');
  const [first] = files;
  const isArchive = files.length === 1 && first !== undefined && archiveFormat(first.path) !== undefined;
  const hasChecks = sha256 !== undefined || publicKey !== undefined;
  const isCertain = files.every(({ etag, checksum }) => etag !== undefined || checksum !== undefined) && !(isArchive && hasChecks);
  return { digest: hash.digest('hex'), isCertain };
}

/** Of a directory only its name: what changes in it is for others to see. */
export async function versionOfPath(path: string): Promise<ContentVersion> {
  const { size, mtimeMs, ino } = await stat(path);
  const isFile = archiveFormat(path) !== undefined;
  const facts = JSON.stringify([FORMAT, path, ...(isFile ? [size, mtimeMs, ino] : [])]);
  return { digest: createHash('sha256').update(facts).digest('hex'), isCertain: false };
}
