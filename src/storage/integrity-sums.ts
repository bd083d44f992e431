import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ServingError } from '../core/errors.ts';
import { quoteName } from './archive/refusal.ts';
import { hashFile } from './integrity.ts';

const SUMS_FILE = 'SHA256SUMS';
const MAX_SUMS_BYTES = 16 * 1024 * 1024;

export interface SumsReport {
  /** Files whose digest is the listed one; relative paths with `/`, sorted. */
  readonly verified: string[];
  /** Files nobody vouches for: all of them where there is no SHA256SUMS. */
  readonly unlisted: string[];
}

/**
 * Compares the files of a directory with its SHA256SUMS, in the forms that `sha256sum` and `sha256sum --tag` write. Rejects with one line
 * that names the file when one is missing, differs, or is listed under a path that leads out of the directory.
 */
export async function verifySha256Sums(dir: string, signal: AbortSignal = new AbortController().signal): Promise<SumsReport> {
  const listed = await readSums(dir);
  const verified: string[] = [];
  for (const [path, expected] of listed) {
    await verifyListed(dir, path, expected, signal);
    verified.push(path);
  }
  const unlisted = (await listFiles(dir, '')).filter((path) => path !== SUMS_FILE && !listed.has(path));
  return { verified: verified.sort(), unlisted: unlisted.sort() };
}

async function readSums(dir: string): Promise<ReadonlyMap<string, string>> {
  const file = join(dir, SUMS_FILE);
  const found = await stat(file).catch((cause: unknown) => {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined;
    throw refuse('it cannot be read; check its permissions', cause);
  });
  if (found === undefined) return new Map();
  if (!found.isFile()) throw refuse('it is no file; put a file there or remove it');
  if (found.size > MAX_SUMS_BYTES) throw refuse(`it has ${found.size} bytes, over the limit of ${MAX_SUMS_BYTES}; list fewer files`);
  return parseSums(await readFile(file, 'utf8'));
}

/** Digests by path. Exported for tests. */
export function parseSums(text: string): Map<string, string> {
  const sums = new Map<string, string>();
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const { name, digest } = parseLine(line, index + 1);
    const parts = name.split('/').filter((part) => part !== '' && part !== '.');
    if (name.startsWith('/') || name.includes('\0') || parts.length === 0 || parts.includes('..')) {
      throw refuse(`line ${index + 1} names ${quoteName(name)}, which is no path inside the directory; write paths relative to it`);
    }
    const path = parts.join('/');
    if ((sums.get(path) ?? digest) !== digest) throw refuse(`line ${index + 1} gives ${quoteName(path)} a second digest; list each file once`);
    sums.set(path, digest);
  }
  return sums;
}

/** A leading backslash says that the name is escaped: `\\`, `\n` and `\r` stand for those characters. */
function parseLine(line: string, number: number): { name: string; digest: string } {
  const isEscaped = line.startsWith('\\');
  const body = isEscaped ? line.slice(1) : line;
  const plain = /^([0-9a-fA-F]{64}) [ *](.+)$/s.exec(body);
  const tagged = /^SHA256 \((.+)\) = ([0-9a-fA-F]{64})$/s.exec(body);
  const name = plain?.[2] ?? tagged?.[1];
  const digest = plain?.[1] ?? tagged?.[2];
  if (name === undefined || digest === undefined) {
    throw refuse(`line ${number} is not "<64 hexadecimal digits>  <path>"; write the file with sha256sum`);
  }
  return { name: isEscaped ? name.replace(/\\([\\nr])/g, (_, sign: string) => ESCAPES[sign] ?? sign) : name, digest: digest.toLowerCase() };
}

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\', n: '\n', r: '\r' };

async function verifyListed(dir: string, path: string, expected: string, signal: AbortSignal): Promise<void> {
  const file = join(dir, path);
  const found = await stat(file).catch(() => undefined);
  if (found === undefined) throw refuse(`it lists ${quoteName(path)}, which is missing; upload the file or list what is there`);
  // Hashing a pipe or a device would wait forever.
  if (!found.isFile()) throw refuse(`it lists ${quoteName(path)}, which is no file; list files only`);
  const digest = await hashFile(file, signal);
  if (digest === expected) return;
  throw refuse(`expected ${quoteName(path)} to have ${expected}, got ${digest}; upload the file again or write SHA256SUMS anew`);
}

/** Links count as files and are not walked through: they may lead anywhere. */
async function listFiles(dir: string, below: string): Promise<string[]> {
  const files: string[] = [];
  for (const entry of await readdir(join(dir, below), { withFileTypes: true })) {
    const path = below === '' ? entry.name : `${below}/${entry.name}`;
    if (entry.isDirectory()) files.push(...(await listFiles(dir, path)));
    else files.push(path);
  }
  return files;
}

function refuse(problem: string, cause?: unknown): ServingError {
  return new ServingError('invalid_request', `Cannot verify ${SUMS_FILE}: ${problem}`, { cause });
}
