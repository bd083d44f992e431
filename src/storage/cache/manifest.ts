import { createHash } from 'node:crypto';
import { chmod, lstat, open, readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { DownloadReport } from '../storage.ts';

/** What an entry says of itself. */
export interface Manifest {
  readonly key: string;
  /** Where it came from, without credentials. */
  readonly uri: string;
  /** On disk. */
  readonly bytes: number;
  readonly files: readonly FileFacts[];
  readonly report: Pick<DownloadReport, 'unverified' | 'unpacked'>;
}

/** `link`: where it leads; else bytes and the time of the last change. */
interface FileFacts {
  readonly path: string;
  readonly size: number;
  readonly mtimeMs: number;
  readonly link?: string;
}

export const MANIFEST_NAME = 'manifest.json';
export const FILES_NAME = 'files';

/** Ends the making of an entry in `dir`: its files are read-only from now on, and listed. */
export async function writeManifest(dir: string, facts: Pick<Manifest, 'key' | 'uri' | 'report'>): Promise<Manifest> {
  const files = await listFiles(join(dir, FILES_NAME), '', (path) => chmod(path, 0o444));
  const manifest: Manifest = { ...facts, bytes: sizeOf(files), files };
  const body = JSON.stringify(manifest);
  const handle = await open(join(dir, MANIFEST_NAME), 'w', 0o600);
  try {
    await handle.writeFile(`${digestOf(body)} ${body}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  return manifest;
}

/** Undefined when there is no manifest, or one that is damaged. */
export async function readManifest(dir: string): Promise<Manifest | undefined> {
  try {
    const text = await readFile(join(dir, MANIFEST_NAME), 'utf8');
    const [, digest = '', body = ''] = /^([0-9a-f]{64}) (.*)\n$/s.exec(text) ?? [];
    return digest !== '' && digestOf(body) === digest ? (JSON.parse(body) as Manifest) : undefined;
  } catch {
    return undefined;
  }
}

/** What is wrong with an entry: its files must be those of the manifest, none more, with their sizes and times. Undefined for nothing. */
export async function findDamage(dir: string, key: string): Promise<string | undefined> {
  const manifest = await readManifest(dir);
  if (manifest === undefined) return 'its manifest is missing or damaged';
  if (manifest.key !== key) return 'its manifest is of another entry';
  const found = new Map((await listFiles(join(dir, FILES_NAME), '')).map((file) => [file.path, file]));
  for (const { path, size, mtimeMs, link } of manifest.files) {
    const file = found.get(path);
    if (file === undefined) return `${JSON.stringify(path)} is missing`;
    if (file.size !== size || file.link !== link) return `${JSON.stringify(path)} has ${file.size} bytes instead of ${size}`;
    if (file.mtimeMs !== mtimeMs) return `${JSON.stringify(path)} was changed`;
    found.delete(path);
  }
  const [stranger] = found.keys();
  return stranger === undefined ? undefined : `${JSON.stringify(stranger)} does not belong to it`;
}

function digestOf(body: string): string {
  return createHash('sha256').update(body).digest('hex');
}

function sizeOf(files: readonly FileFacts[]): number {
  return files.reduce((sum, { size }) => sum + size, 0);
}

/** In the order of their paths. A folder that is not there has none. */
async function listFiles(root: string, below: string, visit?: (path: string) => Promise<void>): Promise<FileFacts[]> {
  const files: FileFacts[] = [];
  const entries = await readdir(join(root, below), { withFileTypes: true }).catch(() => []);
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = below === '' ? entry.name : `${below}/${entry.name}`;
    const absolute = join(root, path);
    if (entry.isDirectory()) {
      files.push(...(await listFiles(root, path, visit)));
      continue;
    }
    if (entry.isFile()) await visit?.(absolute);
    const { size, mtimeMs } = await lstat(absolute);
    const link = entry.isSymbolicLink() ? { link: await readlink(absolute) } : {};
    files.push({ path, size, mtimeMs: Math.trunc(mtimeMs), ...link });
  }
  return files;
}
