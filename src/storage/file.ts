import { readdir, stat } from 'node:fs/promises';
import { basename, isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cannotDownload } from './failure.ts';
import type { OpenedSource } from './storage.ts';

/** Where KServe mounts what an InferenceService is served from, and claims. */
const MODEL_MOUNT = '/mnt/models';
const CLAIM_MOUNT = '/mnt/pvc';

/** `file:///path`, and `file://path`, which KServe takes for the same. */
export function openFile(uri: string): Promise<OpenedSource> {
  const rest = uri.slice('file://'.length);
  let path = rest;
  if (rest.startsWith('/')) {
    try {
      path = fileURLToPath(uri);
    } catch (error) {
      throw cannotDownload('invalid_request', uri, `expected file:///PATH, got ${JSON.stringify(uri)}`, { cause: error });
    }
  }
  return openLocal(path, uri);
}

/** `pvc://CLAIM/PATH`: the claim must be mounted where KServe mounts it for its initializer. */
export function openClaim(uri: string): Promise<OpenedSource> {
  const [, claim = '', path = ''] = /^pvc:\/\/([^/]*)\/*(.*)$/s.exec(uri) ?? [];
  if (claim === '' || path.split('/').includes('..')) {
    throw cannotDownload('invalid_request', uri, `expected pvc://CLAIM/PATH, got ${JSON.stringify(uri)}`);
  }
  return openLocal(join(CLAIM_MOUNT, path), uri);
}

export async function openPath(uri: string): Promise<OpenedSource> {
  const isThere = await exists(uri);
  // Models of the multi-model agent are brought by it.
  if (!isThere && uri.startsWith(MODEL_MOUNT)) return { kind: 'nothing' };
  return openLocal(uri, uri);
}

async function openLocal(written: string, uri: string): Promise<OpenedSource> {
  const path = isAbsolute(written) ? written : resolve(written);
  if (!(await exists(path)))
    throw cannotDownload('model_not_found', uri, `${path} does not exist (ENOENT), check the path and that its volume is mounted`);
  return { kind: 'local', source: { path, entries: () => listEntries(path, uri) } };
}

async function listEntries(path: string, uri: string): Promise<ReadonlyMap<string, string>> {
  if (!(await stat(path)).isDirectory()) return new Map([[basename(path), path]]);
  // KServe passes over names with a dot in front; mounts keep their own business there.
  const names = (await readdir(path)).filter((name) => !name.startsWith('.'));
  if (names.length === 0) throw cannotDownload('model_not_found', uri, `no model found in ${path}, an empty directory`);
  return new Map(names.sort().map((name) => [name, join(path, name)]));
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch {
    return false;
  }
}
