import { createHash } from 'node:crypto';
import { open, readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** More files than the folder of one model has. */
const MOST_FILES = 100;

const CHUNK_BYTES = 512 * 1024;

/** Files that a model's content may depend on: its weights may lie in any file of its folder. */
export interface ModelFiles {
  /** Of all files. */
  readonly bytes: number;
  /** Names and sizes: equal for models of equal content, and for many a retrained one. */
  readonly sizes: string;
  /** Which files on which device, and when each was last changed: as long as it is the same, so is the content. */
  readonly identity: string;
  /** False just after a change: one more within the same tick of the file system's clock would show in no time. */
  isSettled(): boolean;
  /** SHA-256 of names and contents. Reads everything. */
  digest(): Promise<string>;
}

/** Longer than a tick of any file system's clock. */
const SETTLED_MS = 2000;

interface FoundFile {
  readonly path: string;
  readonly size: bigint;
  readonly identity: string;
  readonly changedAtMs: number;
}

/** Undefined for a folder of too many files, which is not that of a model alone. */
export async function listModelFiles(file: string): Promise<ModelFiles | undefined> {
  const folder = dirname(file);
  const files = await listFiles(folder, '', []);
  if (files === undefined) return undefined;
  const model = basename(file);
  return {
    bytes: Number(files.reduce((sum, { size }) => sum + size, 0n)),
    sizes: JSON.stringify([model, ...files.map(({ path, size }) => `${String(size)} ${path}`)]),
    identity: JSON.stringify([folder, model, ...files.map(({ path, identity }) => `${identity} ${path}`)]),
    isSettled: () => files.every(({ changedAtMs }) => Date.now() - changedAtMs > SETTLED_MS),
    digest: async () => {
      const hash = createHash('sha256').update(JSON.stringify([model]));
      for (const { path, size } of files) {
        hash.update(JSON.stringify([path, String(size)]));
        await hashInto(hash, join(folder, path));
      }
      return hash.digest('hex');
    },
  };
}

/** In the order of their paths; links count as what they lead to. Undefined when there are too many. */
async function listFiles(root: string, below: string, found: FoundFile[]): Promise<FoundFile[] | undefined> {
  for (const name of (await readdir(join(root, below))).sort()) {
    if (found.length === MOST_FILES) return undefined;
    const path = join(below, name);
    const facts = await stat(join(root, path), { bigint: true });
    if (facts.isDirectory()) {
      if (path.split('/').length > MOST_FOLDERS || (await listFiles(root, path, found)) === undefined) return undefined;
      continue;
    }
    const { dev, ino, size, mtimeNs, ctimeNs } = facts;
    const changedAtMs = Number((mtimeNs > ctimeNs ? mtimeNs : ctimeNs) / 1_000_000n);
    found.push({ path, size, identity: [dev, ino, size, mtimeNs, ctimeNs].join(' '), changedAtMs });
  }
  return found;
}

/** Folders within folders; a link may lead in a circle. */
const MOST_FOLDERS = 8;

async function hashInto(hash: ReturnType<typeof createHash>, path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    for (;;) {
      const { bytesRead } = await handle.read(chunk, 0, chunk.length);
      if (bytesRead === 0) return;
      hash.update(chunk.subarray(0, bytesRead));
    }
  } finally {
    await handle.close();
  }
}
