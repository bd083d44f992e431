import { createReadStream } from 'node:fs';
import { constants, mkdir, open, readdir, rm, stat, symlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { ServingError } from '../../core/errors.ts';
import type { ArchiveEntry } from './entry.ts';
import { splitEntryPath } from './entry-path.ts';
import { EntryTree } from './entry-tree.ts';
import type { ArchiveFormat } from './format.ts';
import { Meter, type ArchiveLimits } from './limits.ts';
import { createRefuse, quoteName, toUnpackError, type Refuse } from './refusal.ts';
import { readTar } from './tar.ts';
import { readZip } from './zip.ts';

export interface Unpacked {
  /** Links included, directories not. */
  readonly files: number;
  /** Of all files; a hard link counts as the copy it becomes. */
  readonly bytes: number;
}

/**
 * Unpacks an archive into `into`, a directory that is empty or does not exist yet (the one above it does). All or nothing as long as this
 * process lives: when it fails or `signal` aborts, `into` is as it was. Durability (fsync, rename) is the caller's.
 *
 * Only files, directories and links that stay inside the tree come out, with modes 644 and 755 less the umask; hard links become copies,
 * owners and times are not taken over. Rejects with a ServingError of one line that names archive, entry and fix, or the signal's reason.
 */
export async function unpackArchive(
  file: string,
  format: ArchiveFormat,
  into: string,
  limits: ArchiveLimits,
  signal: AbortSignal,
): Promise<Unpacked> {
  signal.throwIfAborted();
  let isNew = false;
  try {
    isNew = await claimTarget(file, into);
    return await unpackEntries(file, format, into, limits, signal);
  } catch (thrown) {
    if (thrown instanceof TargetInUse) throw thrown.refusal;
    const failure = toUnpackError(thrown, file, signal);
    await removeUnpacked(into, isNew, failure);
    throw failure;
  }
}

/** The one failure after which `into` holds what is not ours to remove. */
class TargetInUse extends Error {
  readonly refusal: ServingError;

  constructor(refusal: ServingError) {
    super(refusal.message);
    this.refusal = refusal;
  }
}

async function claimTarget(file: string, into: string): Promise<boolean> {
  try {
    await mkdir(into);
    return true;
  } catch (thrown) {
    const found = await readdir(into).catch((cause: unknown) => {
      throw new TargetInUse(refuseTarget(file, into, 'cannot be made or is no directory', thrown ?? cause));
    });
    if (found.length === 0) return false;
    throw new TargetInUse(refuseTarget(file, into, `is not empty: it holds ${quoteName(found[0] ?? '')}`, thrown));
  }
}

function refuseTarget(file: string, into: string, problem: string, cause: unknown): ServingError {
  return new ServingError(
    'conflict',
    `Cannot unpack ${quoteName(basename(file))} into ${quoteName(into)}, which ${problem}; name an empty directory`,
    {
      cause,
    },
  );
}

async function removeUnpacked(into: string, isNew: boolean, failure: unknown): Promise<void> {
  try {
    if (isNew) await rm(into, { recursive: true, force: true });
    else for (const name of await readdir(into)) await rm(join(into, name), { recursive: true, force: true });
  } catch (cause) {
    const first = failure instanceof Error ? failure.message : String(failure);
    throw new ServingError('internal', `${first}; what was unpacked could not be removed: delete ${quoteName(into)}`, { cause });
  }
}

async function unpackEntries(file: string, format: ArchiveFormat, into: string, limits: ArchiveLimits, signal: AbortSignal): Promise<Unpacked> {
  const refuse = createRefuse(file);
  const { size } = await stat(file);
  const meter = new Meter(limits, size, refuse);
  const target: Target = { into, tree: new EntryTree(refuse), meter, limits, refuse, signal };
  const entries = await openEntries(file, format, meter, refuse, signal);
  let files = 0;
  for await (const entry of entries) {
    signal.throwIfAborted();
    if (format !== 'zip') meter.addEntry(entry.name);
    if (await placeEntry(entry, target)) files += 1;
  }
  // Last of all, so that no file was written through one.
  for (const link of target.tree.checkedLinks()) await symlink(link.target, join(into, link.path));
  if (files === 0) throw refuse(undefined, 'holds no files', 'pack the model into it');
  return { files, bytes: meter.bytes };
}

async function openEntries(
  file: string,
  format: ArchiveFormat,
  meter: Meter,
  refuse: Refuse,
  signal: AbortSignal,
): Promise<AsyncGenerator<ArchiveEntry>> {
  if (format === 'zip') return readZip(file, meter, refuse, signal);
  const magic = await readMagic(file);
  const other = ['BZh', '\xfd7zXZ', '\x28\xb5\x2f\xfd', 'PK\x03\x04'].findIndex((start) => magic.startsWith(start));
  if (other !== -1) {
    const name = ['bzip2', 'xz', 'zstd', 'zip'][other] ?? '';
    throw refuse(undefined, `is not a tar but begins like ${name}`, 'pack as .tar, .tar.gz or .zip and name it so');
  }
  return readTar(file, magic.startsWith('\x1f\x8b'), meter, refuse, signal);
}

async function readMagic(file: string): Promise<string> {
  const handle = await open(file);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(8), 0, 8, 0);
    return buffer.toString('latin1', 0, bytesRead);
  } finally {
    await handle.close();
  }
}

interface Target {
  readonly into: string;
  readonly tree: EntryTree;
  readonly meter: Meter;
  readonly limits: ArchiveLimits;
  readonly refuse: Refuse;
  readonly signal: AbortSignal;
}

/** Brings one entry to disk, a symlink only into the tree; tells whether it is more than a directory. */
async function placeEntry(entry: ArchiveEntry, target: Target): Promise<boolean> {
  const { tree, refuse, limits } = target;
  const parts = splitEntryPath(entry.name, limits, refuse);
  const isDirectory = entry.kind === 'directory';
  if (parts.length === 0 && !isDirectory) throw refuse(entry.name, 'has no name', 'name it');
  // Each directory on the way was made by us in a directory that was empty before, so none of them is a link.
  for (const path of tree.claimDirectory(entry.name, isDirectory ? parts : parts.slice(0, -1))) await mkdir(join(target.into, path));
  if (isDirectory) return false;
  const path = parts.join('/');
  if (entry.kind === 'symlink') {
    tree.claimLink(entry.name, path, entry.target);
    return true;
  }
  const content = entry.kind === 'hardlink' ? readLinked(entry, target) : entry.content();
  tree.claimFile(entry.name, path);
  target.meter.expect(entry.name, entry.size);
  await writeContent(path, entry, content, target);
  return true;
}

function readLinked(entry: ArchiveEntry, { tree, limits, refuse, into }: Target): AsyncIterable<Uint8Array> {
  const linked = splitEntryPath(entry.target, limits, (_, problem, fix) => refuse(entry.name, `links to a path that ${problem}`, fix)).join('/');
  if (!tree.isFile(linked)) throw refuse(entry.name, 'is a hard link to no file that comes before it in the archive', 'pack the file itself');
  return createReadStream(join(into, linked), { highWaterMark: 1024 * 1024 }) as AsyncIterable<Uint8Array>;
}

async function writeContent(path: string, entry: ArchiveEntry, content: AsyncIterable<Uint8Array>, target: Target): Promise<void> {
  const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;
  const handle = await open(join(target.into, path), O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY, entry.executable ? 0o755 : 0o644);
  try {
    for await (const chunk of content) {
      target.signal.throwIfAborted();
      target.meter.add(entry.name, chunk.byteLength);
      // Goes on where the last chunk ended, and does not stop half-way as write() may.
      await handle.writeFile(chunk);
    }
  } finally {
    await handle.close();
  }
}
