import type { Dirent } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import type { Logger } from '../core/context.ts';
import { ServingError } from '../core/errors.ts';
import { findModelHandler } from './model-handler.ts';
import { isModelName } from './model-name.ts';

/** One version of a model on disk. `path` is a directory or a file, as an engine takes it. */
export interface ModelVersion {
  /** The directory's number without leading zeros; `1` for a model without version directories. */
  readonly version: string;
  readonly path: string;
}

/** What was in storage at one moment, in a directory of its own. */
export interface FetchedVersion {
  readonly version: string;
  readonly dir: string;
}

/** A model on disk; `versions` is never empty and starts with the highest. */
export interface ModelLocation {
  readonly name: string;
  /** What `versions` was read from, to be read again on reload. */
  readonly path: string;
  readonly versions: readonly ModelVersion[];
  /** Absent for files that are served where they always were. */
  readonly fetched?: FetchedVersion;
  /** There is no model directory to look into; `path` only says where a handler in it would lie. */
  readonly isFileless?: true;
}

/**
 * What a model directory holds.
 *
 *     single      DIR/model.onnx | DIR/3/model.onnx | DIR is a file
 *     repository  DIR/<model>/model.onnx, DIR/<model>/3/model.onnx, …
 *
 * With `takesHandlers`, `handler.mjs` alone is a model as well, wherever model.onnx may lie.
 */
export interface Layout {
  readonly kind: 'single' | 'repository';
  /** In the order of their names. */
  readonly models: readonly ModelLocation[];
}

export interface LayoutReader {
  /** What `--model_dir` names; everything served lies inside. */
  readonly modelDir: string;
  /** Resolves when an engine takes this directory or file for a model, else rejects with ServingError: one line that says what lies there. */
  readonly detect: (path: string) => Promise<unknown>;
  /** Handlers in model directories are run. */
  readonly takesHandlers?: boolean;
  readonly log: Logger;
}

/** Name of a single model when none is given, as KServe's own servers have it. */
export const DEFAULT_MODEL_NAME = 'model';

/**
 * Reads the layout of the model directory. `modelName` names a single model, and the only model of a repository; a repository of several is named by its
 * directories. Throws ServingError, one line: model_not_found when the directory is absent, else what
 * the engines say about a directory without a model.
 */
export async function readLayout(modelName: string | undefined, reader: LayoutReader): Promise<Layout> {
  const { modelDir } = reader;
  await checkReadable(modelDir);
  const name = modelName ?? DEFAULT_MODEL_NAME;
  const single: Layout = { kind: 'single', models: [{ name, path: modelDir, versions: [{ version: '1', path: modelDir }] }] };
  if (await isModel(modelDir, reader)) return single;
  const { models, empty } = await readRepository(reader);
  const [only] = models;
  if (only === undefined) return (await isHandler(modelDir, reader)) ? single : await refuse(reader);
  // A model in a directory with a name beside numbered ones makes it a repository, whose models may well be called `1`.
  if (models.every(isVersionOfParent)) return { kind: 'single', models: [{ name, path: modelDir, versions: sortVersions(models, reader) }] };
  for (const directory of empty) reader.log.warn({ directory }, 'Skipped a directory without a model');
  return { kind: 'repository', models: models.length === 1 ? [{ ...only, name: modelName ?? only.name }] : models };
}

/** Models in the sub-directories of a repository, in the order of their names, and sub-directories without one. */
export async function readRepository(reader: LayoutReader): Promise<{ readonly models: ModelLocation[]; readonly empty: string[] }> {
  const models: ModelLocation[] = [];
  const empty: string[] = [];
  for (const directory of await readDirectories(reader.modelDir, reader)) {
    const model = await readModel(directory.name, directory.path, reader);
    if (model === undefined) empty.push(directory.path);
    else models.push(model);
  }
  return { models, empty };
}

/** The model in sub-directory `name` of a repository; undefined when there is none, or the name cannot be one. */
export async function readRepositoryModel(name: string, reader: LayoutReader): Promise<ModelLocation | undefined> {
  if (!isModelName(name)) return undefined;
  const directories = await readDirectories(reader.modelDir, reader);
  const directory = directories.find((candidate) => candidate.name === name);
  return directory === undefined ? undefined : await readModel(name, directory.path, reader);
}

/** Reads a known model's versions again; undefined when nothing of it is left. */
export async function rereadModel(location: ModelLocation, reader: LayoutReader): Promise<ModelLocation | undefined> {
  return await readModel(location.name, location.path, reader);
}

async function readModel(name: string, path: string, reader: LayoutReader): Promise<ModelLocation | undefined> {
  if (await isModel(path, reader)) return { name, path, versions: [{ version: '1', path }] };
  const numbered: NumberedDirectory[] = [];
  for (const directory of await readDirectories(path, reader)) {
    if (!NUMBER.test(directory.name)) continue;
    if ((await isModel(directory.path, reader)) || (await isHandler(directory.path, reader))) numbered.push(directory);
  }
  if (numbered.length > 0) return { name, path, versions: sortVersions(numbered, reader) };
  return (await isHandler(path, reader)) ? { name, path, versions: [{ version: '1', path }] } : undefined;
}

/** True where a handler lies that may run without a model file. */
async function isHandler(path: string, { takesHandlers }: LayoutReader): Promise<boolean> {
  return takesHandlers === true && (await findModelHandler(path)) !== undefined;
}

const NUMBER = /^\d+$/;

interface NumberedDirectory {
  readonly name: string;
  readonly path: string;
}

/** True for `DIR/3/model.onnx`, which may be a version of DIR's model. */
function isVersionOfParent({ name, path, versions }: ModelLocation): boolean {
  return NUMBER.test(name) && versions[0]?.path === path;
}

/** Highest first; of directories with the same number, as `01` and `1`, the first is taken. */
function sortVersions(directories: readonly NumberedDirectory[], { log }: LayoutReader): ModelVersion[] {
  const versions = new Map<string, ModelVersion>();
  for (const { name, path } of directories) {
    const version = BigInt(name).toString();
    if (versions.has(version)) log.warn({ directory: path, version }, 'Skipped a second directory of the same version');
    else versions.set(version, { version, path });
  }
  return [...versions.values()].sort((a, b) => (BigInt(a.version) < BigInt(b.version) ? 1 : -1));
}

async function isModel(path: string, reader: LayoutReader): Promise<boolean> {
  try {
    await reader.detect(path);
    return true;
  } catch {
    return false;
  }
}

/** Nothing here or one level below is a model: the engines know best what it is instead. */
async function refuse({ modelDir, detect }: LayoutReader): Promise<never> {
  await detect(modelDir);
  throw new ServingError('model_not_found', `Cannot read model directory ${modelDir} (--model_dir): it changed while it was read`);
}

async function checkReadable(modelDir: string): Promise<void> {
  try {
    await stat(modelDir);
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'no such directory or file' : (error as Error).message;
    throw new ServingError('model_not_found', `Cannot read model directory ${modelDir} (--model_dir): ${why}`, { cause: error });
  }
}

/**
 * Sub-directories that may hold models, in the order of their names. Hidden ones are none (`.cache`, and the `..data` and `..2024_…` of mounted
 * ConfigMaps); symbolic links are followed as long as they stay inside the model directory.
 */
async function readDirectories(parent: string, reader: LayoutReader): Promise<{ readonly name: string; readonly path: string }[]> {
  const found: { readonly name: string; readonly path: string }[] = [];
  for (const entry of await readEntries(parent)) {
    if (entry.name.startsWith('.')) continue;
    const path = join(parent, entry.name);
    const isDirectory = entry.isDirectory() || (entry.isSymbolicLink() && (await leadsToDirectory(path, reader)));
    if (!isDirectory) continue;
    if (isModelName(entry.name)) found.push({ name: entry.name, path });
    else reader.log.warn({ directory: path }, 'Skipped a directory whose name cannot name a model');
  }
  return found.sort((a, b) => (a.name < b.name ? -1 : 1));
}

async function readEntries(path: string): Promise<Dirent[]> {
  try {
    return await readdir(path, { withFileTypes: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOTDIR' || (error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new ServingError('model_not_found', `Cannot read directory ${path}: ${(error as Error).message}`, { cause: error });
  }
}

/** Links to files are the engine's to read; of those to directories only what lies inside may be served. */
async function leadsToDirectory(link: string, { modelDir, log }: LayoutReader): Promise<boolean> {
  try {
    if (!(await stat(link)).isDirectory()) return false;
    const inside = relative(await realpath(modelDir), await realpath(link));
    if (inside !== '' && inside !== '..' && !inside.startsWith(`..${sep}`)) return true;
    log.warn({ link }, 'Skipped a symbolic link that leads outside of the model directory');
  } catch (error) {
    log.warn({ link, err: error }, 'Skipped a symbolic link that leads nowhere');
  }
  return false;
}
