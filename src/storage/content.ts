import { open, readdir, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { archiveFormat } from './archive/format.ts';
import { DEFAULT_ARCHIVE_LIMITS } from './archive/limits.ts';
import { unpackArchive } from './archive/unpack.ts';
import { freeBytes } from './disk.ts';
import { cannotDownload } from './failure.ts';
import { hashFile } from './integrity.ts';
import { verifySignature } from './integrity-signature.ts';
import { verifySha256Sums } from './integrity-sums.ts';
import type { Staging } from './staging.ts';

export interface ContentChecks {
  readonly uri: string;
  readonly signal: AbortSignal;
  /** 64 hexadecimal digits in lower case. */
  readonly sha256: string | undefined;
  /** PEM. */
  readonly publicKey: string | undefined;
  /** Of the pinned file; `<pinned file>.sig` of the download without it. */
  readonly signatureFile: string | undefined;
  readonly isDurable: boolean;
}

export interface ContentReport {
  /** Paths that a digest or a signature of the user's vouches for. */
  readonly vouched: ReadonlySet<string>;
  readonly unpacked: string | undefined;
}

const SUMS_NAME = 'SHA256SUMS';

/** What is done with files that have all arrived: pin and signature, unpacking of the only file, SHA256SUMS. */
export async function finishContent(staging: Staging, checks: ContentChecks): Promise<ContentReport> {
  const only = await onlyFile(staging.dir);
  const isTrusted = await checkTrust(staging.dir, only, checks);
  const format = only === undefined ? undefined : archiveFormat(only);
  if (only !== undefined && format !== undefined) await unpackOnly(staging, only, format, checks);
  const { verified } = await verifySha256Sums(staging.dir, checks.signal);
  const vouched = new Set(isTrusted ? [...verified, only ?? SUMS_NAME] : verified);
  return { vouched, unpacked: format === undefined ? undefined : only };
}

/** Checks files that were brought before against the same pin and signature. */
export async function verifyTrust(dir: string, checks: ContentChecks): Promise<void> {
  await checkTrust(dir, await onlyFile(dir), checks);
}

async function onlyFile(dir: string): Promise<string | undefined> {
  const [first, ...others] = await readdir(dir);
  return first !== undefined && others.length === 0 && (await stat(join(dir, first))).isFile() ? first : undefined;
}

/** Of one file the file itself, of many their SHA256SUMS, which vouches for the others, must be what was pinned or signed. */
async function checkTrust(dir: string, only: string | undefined, { uri, signal, sha256, publicKey, signatureFile }: ContentChecks): Promise<boolean> {
  if (sha256 === undefined && publicKey === undefined) return false;
  const name = only ?? SUMS_NAME;
  const path = join(dir, name);
  if (only === undefined && (await readdir(dir)).every((entry) => entry !== SUMS_NAME)) {
    throw cannotDownload(
      'invalid_request',
      uri,
      `a digest or signature is asked for and there are several files without a ${SUMS_NAME}: add one (sha256sum) or download an archive`,
    );
  }
  if (sha256 !== undefined) {
    const found = await hashFile(path, signal);
    if (found !== sha256)
      throw cannotDownload(
        'invalid_request',
        uri,
        `expected SHA-256 ${sha256} for ${JSON.stringify(name)}, got ${found}: the content is not what was pinned`,
      );
  }
  if (publicKey !== undefined) await verifySignature(path, signatureFile ?? `${path}.sig`, publicKey, signal);
  if (only === undefined) await refuseUnlisted(dir, uri, signal, publicKey !== undefined);
  return true;
}

/** A pin of the list is a pin of what it lists; a file beside it would come in unseen. */
async function refuseUnlisted(dir: string, uri: string, signal: AbortSignal, hasSignature: boolean): Promise<void> {
  const { unlisted } = await verifySha256Sums(dir, signal);
  const [stranger] = unlisted.filter((path) => !(hasSignature && path === `${SUMS_NAME}.sig`));
  if (stranger === undefined) return;
  throw cannotDownload(
    'invalid_request',
    uri,
    `${JSON.stringify(stranger)} is not listed in the ${SUMS_NAME} that was asked for: list it or remove it`,
  );
}

async function unpackOnly(
  staging: Staging,
  name: string,
  format: NonNullable<ReturnType<typeof archiveFormat>>,
  checks: ContentChecks,
): Promise<void> {
  const archive = join(staging.scratch, name);
  // A link to a local archive moves as well as a file.
  await rename(join(staging.dir, name), archive);
  const limits = { ...DEFAULT_ARCHIVE_LIMITS, maxBytes: Math.min(DEFAULT_ARCHIVE_LIMITS.maxBytes, await freeBytes(staging.dir)) };
  await unpackArchive(archive, format, staging.dir, limits, checks.signal);
  if (checks.isDurable) await syncFiles(staging.dir);
}

async function syncFiles(dir: string): Promise<void> {
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) await syncFiles(path);
    if (!entry.isFile()) continue;
    const handle = await open(path, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  }
}
