import { resolve } from 'node:path';
import { z } from 'zod';
import { isUri } from '../core/uri.ts';

/** Reads one written value; its metadata holds the word that stands for the value in help. Only this file knows zod. */
export type Schema<T> = z.ZodType<T>;

/** The word that stands for the value in help, e.g. `INT` or `auto|native|node`. */
export function metavarOf(schema: Schema<unknown>): string {
  const metavar = schema.meta()?.['metavar'];
  return typeof metavar === 'string' ? metavar : 'VALUE';
}

export function isBooleanSchema(schema: Schema<unknown>): boolean {
  return metavarOf(schema) === BOOLEAN_METAVAR;
}

/** Text that is not empty and has no control characters. */
export function text(metavar = 'TEXT'): Schema<string> {
  const error = 'expected text';
  return z
    .string({ error })
    .min(1, { error })
    .regex(/^\P{Cc}*$/u, { error: 'expected text without control characters' })
    .meta({ metavar });
}

/** A whole number, both limits included. */
export function integer(min: number, max = Number.MAX_SAFE_INTEGER): Schema<number> {
  const error = max === Number.MAX_SAFE_INTEGER ? `expected a whole number from ${min} on` : `expected a whole number from ${min} to ${max}`;
  const written = z.union([z.number({ error }), writtenAs(/^[+-]?\d+$/, error).transform(Number)], { error });
  return written.pipe(z.int({ error }).min(min, { error }).max(max, { error })).meta({ metavar: 'INT' });
}

/** Whole numbers separated by commas, in rising order, each once. */
export function integers(min: number, max: number): Schema<readonly number[]> {
  const error = `expected whole numbers from ${min} to ${max}, separated by commas`;
  return z
    .union([z.number({ error }).transform(String), writtenAs(/^\d+( ?, ?\d+)*$/, error)], { error })
    .transform((value) => [...new Set(value.split(',').map(Number))].sort((a, b) => a - b))
    .pipe(z.array(z.int({ error }).min(min, { error }).max(max, { error })))
    .meta({ metavar: 'INT,…' });
}

/**
 * A time written in seconds, with an `s` or without, read as whole milliseconds. Limits are seconds. With `zeroIsNone` a 0 is read as Infinity.
 * At most 24 days: timers of Node take no more.
 */
export function seconds(limits: { readonly min?: number; readonly max?: number; readonly zeroIsNone?: true } = {}): Schema<number> {
  const { min = 0, max = 2_000_000, zeroIsNone = false } = limits;
  const error = `expected seconds from ${min} to ${max}`;
  return z
    .union([z.number({ error }), writtenAs(/^\d+(\.\d+)?s?$/, error).transform((value) => Number.parseFloat(value))], { error })
    .pipe(z.number({ error }).min(min, { error }).max(max, { error }))
    .transform((value) => (zeroIsNone && value === 0 ? Infinity : Math.round(value * 1000)))
    .meta({ metavar: 'SECONDS' });
}

const SIZE_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  ki: 1024,
  kib: 1024,
  mi: 1024 ** 2,
  mib: 1024 ** 2,
  gi: 1024 ** 3,
  gib: 1024 ** 3,
};

/** Bytes: a whole number with or without one of KiB, MiB, GiB (Ki, Mi, Gi as in Kubernetes). -1 is let through when `min` allows it. */
export function bytes(min: number, max: number): Schema<number> {
  const error = `expected a size from ${min} to ${max} bytes, such as ${Math.min(max, 65_536)}, 512KiB or 64MiB`;
  const suffixed = writtenAs(/^(-1|\d+ ?([kmg]ib?|b)?)$/i, error).transform((value) => {
    const unit = /[a-z]*$/i.exec(value)?.[0] ?? '';
    return Number(value.slice(0, value.length - unit.length)) * (SIZE_UNITS[unit.toLowerCase()] ?? 1);
  });
  return z
    .union([z.number({ error }), suffixed], { error })
    .pipe(z.int({ error }).min(min, { error }).max(max, { error }))
    .meta({ metavar: 'SIZE' });
}

const BOOLEAN_METAVAR = 'BOOL';
const TRUE_WORDS: ReadonlySet<string> = new Set(['y', 'yes', 't', 'true', 'on', '1']);
const FALSE_WORDS: ReadonlySet<string> = new Set(['n', 'no', 'f', 'false', 'off', '0']);

/** KServe's words for yes and no, in any case (its `strtobool`), or a JSON boolean. */
export function boolean(): Schema<boolean> {
  const error = 'expected true or false';
  const word = z.string({ error }).refine(isBooleanWord, { error });
  return z
    .union([z.boolean({ error }), word.transform((value) => TRUE_WORDS.has(value.toLowerCase()))], { error })
    .meta({ metavar: BOOLEAN_METAVAR });
}

export function isBooleanWord(value: string): boolean {
  const word = value.toLowerCase();
  return TRUE_WORDS.has(word) || FALSE_WORDS.has(word);
}

/** One of a few words, in any case. `synonyms` maps words of other systems (lower case) to ours. */
export function oneOf<const W extends string>(words: readonly W[], synonyms: Readonly<Record<string, W>> = {}): Schema<W> {
  const error = `expected ${words.slice(0, -1).join(', ')} or ${words.at(-1) ?? ''}`;
  return z
    .string({ error })
    .transform((value, ctx): W => {
      const word = value.toLowerCase();
      const found = words.find((candidate) => candidate === word) ?? (Object.hasOwn(synonyms, word) ? synonyms[word] : undefined);
      if (found !== undefined) return found;
      ctx.addIssue({ code: 'custom', message: error });
      return z.NEVER;
    })
    .meta({ metavar: words.join('|') });
}

/** `auto`, or a value of another kind. */
export function auto<T>(schema: Schema<T>): Schema<T | 'auto'> {
  return z.union([z.literal('auto'), schema], { error: (issue) => unionError(issue, 'auto') }).meta({ metavar: `auto|${metavarOf(schema)}` });
}

/** A name that can be a segment of a URL. */
export function modelName(): Schema<string> {
  const error = 'expected a name without "/" and control characters';
  return z
    .string({ error })
    .regex(/^[^\p{Cc}/]+$/u, { error })
    .meta({ metavar: 'NAME' });
}

/** A local directory or file, read as an absolute path. */
export function localPath(metavar: 'DIR' | 'FILE'): Schema<string> {
  return z
    .string({ error: 'expected a path' })
    .min(1, { error: 'expected a path' })
    .refine((value) => !isUri(value), { error: 'expected a path on this machine' })
    .transform((value) => resolve(value))
    .meta({ metavar });
}

/** A local directory or file, read as an absolute path, or a URI of remote storage as it is. */
export function pathOrUri(metavar: 'DIR|URI'): Schema<string> {
  return z
    .string({ error: 'expected a path or a URI' })
    .min(1, { error: 'expected a path or a URI' })
    .regex(/^\P{Cc}*$/u, { error: 'expected a path or a URI without control characters' })
    .transform((value) => (isUri(value) ? value : resolve(value)))
    .meta({ metavar });
}

function writtenAs(pattern: RegExp, error: string): z.ZodString {
  return z.string({ error }).trim().regex(pattern, { error });
}

function unionError(
  issue: { readonly code?: string | undefined; readonly errors?: readonly (readonly { readonly message: string }[])[] },
  word: string,
): string {
  const inner = issue.errors?.at(-1)?.[0]?.message.replace(/^expected /, '') ?? 'a value';
  return `expected ${word} or ${inner}`;
}
