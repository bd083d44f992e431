import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ServingError } from '../../core/errors.ts';
import { messageOf } from './ort-failure.ts';

const PREFERRED = 'model.onnx';
const EXTENSIONS = ['.onnx', '.ort'] as const;

/** Most names that a message lists. */
const MAX_LISTED = 10;

/**
 * The one model file of a path. A file is itself. In a directory: `model.onnx`, else the only `*.onnx`, else the only `*.ort`. Undefined when there is
 * none; throws model_failed when several are equally good, or the path cannot be read.
 */
export async function chooseModelFile(path: string): Promise<string | undefined> {
  const names = await listFiles(path);
  if (names === undefined) return hasModelExtension(path) ? path : undefined;
  if (names.includes(PREFERRED)) return join(path, PREFERRED);
  for (const extension of EXTENSIONS) {
    const candidates = names.filter((name) => name.endsWith(extension)).sort();
    const [only] = candidates;
    if (only === undefined) continue;
    if (candidates.length === 1) return join(path, only);
    const listed = candidates.length > MAX_LISTED ? [...candidates.slice(0, MAX_LISTED), '…'] : candidates;
    throw modelFailed(
      `Cannot choose a model file in ${path}: found ${listed.join(', ')}; keep one, name one ${PREFERRED}, or give the path of the file`,
    );
  }
  return undefined;
}

/** Names of the regular files (or links to them) in a directory; undefined for a path that is a file. */
async function listFiles(path: string): Promise<string[] | undefined> {
  try {
    if (!(await stat(path)).isDirectory()) return undefined;
    const entries = await readdir(path, { withFileTypes: true });
    return entries.filter((entry) => !entry.isDirectory() && !entry.name.startsWith('.')).map((entry) => entry.name);
  } catch (thrown) {
    throw unreadable(path, thrown);
  }
}

function hasModelExtension(path: string): boolean {
  return EXTENSIONS.some((extension) => path.endsWith(extension));
}

const SNIFF_BYTES = 64;

const NOT_A_MODEL: readonly (readonly [prefix: string, what: string])[] = [
  ['version https://git-lfs', 'it is a Git LFS pointer, not the model: fetch the file with git lfs pull'],
  ['<!DOCTYPE', 'it is an HTML page, not a model'],
  ['<html', 'it is an HTML page, not a model'],
  ['PK\u0003\u0004', 'it is a ZIP archive, not a model'],
  ['\u001f\u008b', 'it is gzip-compressed: unpack it first'],
  ['\u0080\u0002', 'it is a Python pickle, not a model'],
];

/** Throws model_failed with the reason when a file is empty, unreadable or plainly something else. */
export async function checkModelFile(file: string): Promise<void> {
  const head = await readHead(file);
  if (head.length === 0) throw modelFailed(`Cannot load model ${file}: the file is empty`);
  const found = NOT_A_MODEL.find(([prefix]) => head.startsWith(prefix));
  if (found !== undefined) throw modelFailed(`Cannot load model ${file}: ${found[1]}`);
}

async function readHead(file: string): Promise<string> {
  try {
    const handle = await open(file, 'r');
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(SNIFF_BYTES), 0, SNIFF_BYTES, 0);
      return buffer.toString('latin1', 0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch (thrown) {
    throw unreadable(file, thrown);
  }
}

function unreadable(path: string, thrown: unknown): ServingError {
  const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined;
  const reason = code === 'ENOENT' ? 'no such file or directory' : code === 'EACCES' ? 'permission denied' : messageOf(thrown);
  return new ServingError('model_failed', `Cannot load model ${path}: ${reason}`, { cause: thrown });
}

function modelFailed(message: string): ServingError {
  return new ServingError('model_failed', message);
}
