import { readFile } from 'node:fs/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Script } from 'node:vm';
import { isServingError } from '../core/errors.ts';
import { describeThrown } from './handler-error.ts';

export interface ImportFailure {
  /** Of the handler's own file, from 1. */
  readonly line: number | undefined;
  /** One line: what went wrong, and the source line where there is one. */
  readonly reason: string;
}

/** Why a module could not be imported, as compilers say it. */
export async function describeImportFailure(path: string, thrown: unknown): Promise<ImportFailure> {
  if (isServingError(thrown)) return { line: undefined, reason: thrown.message };
  const missing = missingModule(thrown);
  if (missing !== undefined)
    return {
      line: await findLine(path, missing),
      reason: `cannot find ${missing}: install it beside the handler, or bundle it with kserve-node pack`,
    };
  const transformed = transformFailure(thrown);
  const place = transformed?.place ?? placeInStack(thrown, path) ?? (await placeOfSyntaxError(thrown, path));
  const reason = transformed?.message ?? describeThrown(thrown);
  if (place === undefined) return { line: undefined, reason };
  const source = await readLine(place.file, place.line);
  const where = place.file === path ? '' : ` at ${place.file}:${place.line}`;
  return { line: place.file === path ? place.line : undefined, reason: `${reason}${where}${source === '' ? '' : ` in \`${source}\``}` };
}

interface Place {
  readonly file: string;
  readonly line: number;
}

/** `Cannot find package 'sharp' imported from …`, also a file of the handler's own. */
function missingModule(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error) || (thrown as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') return undefined;
  return /^Cannot find (?:package|module) '([^']+)'/.exec(thrown.message)?.[1];
}

/** esbuild's, behind tsx: `Transform failed with 1 error:\n/x/handler.ts:3:5: ERROR: Expected …`. */
function transformFailure(thrown: unknown): { readonly place: Place; readonly message: string } | undefined {
  if (!(thrown instanceof Error)) return undefined;
  const match = /^(.+?):(\d+):\d+: ERROR: (.+)$/m.exec(thrown.message);
  if (match === null) return undefined;
  const [, file = '', line = '', message = ''] = match;
  return { place: { file: plainPath(file), line: Number(line) }, message: `SyntaxError: ${message}` };
}

/** The first line of a syntax error's stack is its place; other errors have the handler's own frames below their message. */
function placeInStack(thrown: unknown, path: string): Place | undefined {
  if (!(thrown instanceof Error) || thrown.stack === undefined) return undefined;
  const head = /^((?:file:\/\/)?\/[^\n]*?):(\d+)(?::\d+)?\n/.exec(thrown.stack);
  if (head !== null) return { file: plainPath(head[1] ?? ''), line: Number(head[2]) };
  for (const name of [pathToFileURL(path).href, path]) {
    const at = thrown.stack.indexOf(name);
    const line = at < 0 ? null : /^[^\s:)]*:(\d+)/.exec(thrown.stack.slice(at + name.length));
    if (line !== null) return { file: path, line: Number(line[1]) };
  }
  return undefined;
}

/**
 * Node tells where a script's syntax is wrong, but not where a module's is. So the handler is compiled again, and not run, as the script that it is without its
 * imports and exports; what fails in the same way there is the same line.
 */
async function placeOfSyntaxError(thrown: unknown, path: string): Promise<Place | undefined> {
  if (!(thrown instanceof SyntaxError)) return undefined;
  const blank = (text: string): string => text.replaceAll(/[^\n]/g, ' ');
  const script = (await readSource(path))
    .replaceAll(/^\s*import\b[^;'"]*(['"])[^'"\n]*\1;?/gm, blank)
    .replaceAll(/^\s*export(\s+default)?\b/gm, blank);
  try {
    new Script(`(async () => {${script}\n})`);
  } catch (again) {
    const line = again instanceof Error && again.message === thrown.message ? /:(\d+)\n/.exec(again.stack ?? '')?.[1] : undefined;
    if (line !== undefined) return { file: path, line: Number(line) };
  }
  return undefined;
}

/** Loaders add queries of their own to a module's URL. */
function plainPath(file: string): string {
  return file.startsWith('file:') ? fileURLToPath(file.replace(/\?.*$/, '')) : file.replace(/\?.*$/, '');
}

const MAX_SOURCE_CHARS = 120;

async function readLine(file: string, line: number): Promise<string> {
  const text = await readSource(file);
  return (text.split('\n')[line - 1] ?? '').trim().slice(0, MAX_SOURCE_CHARS);
}

async function findLine(path: string, word: string): Promise<number | undefined> {
  const name = word.startsWith('/') ? (word.split('/').at(-1) ?? word) : word;
  const index = (await readSource(path)).split('\n').findIndex((line) => line.includes(name));
  return index < 0 ? undefined : index + 1;
}

/** The line is an extra: without it the reason stands alone. */
async function readSource(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch {
    return '';
  }
}
