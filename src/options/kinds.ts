import { resolve } from 'node:path';
import { isUri } from '../core/uri.ts';

/** What a written value means, or what was expected in its place. */
export type Reading<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly expected: string };

/** Reads one written value. Plain functions: a schema library takes longer to import than a small model to load, and options come before everything. */
export interface Schema<T> {
  /** The word that stands for the value in help, e.g. `INT` or `auto|native|node`. */
  readonly metavar: string;
  read(written: unknown): Reading<T>;
}

/** A kind of value of which only one thing can be said when `read` finds none in what was written. */
function kind<T>(metavar: string, expected: string, read: (written: unknown) => T | undefined): Schema<T> {
  const refusal = { ok: false, expected } as const;
  return {
    metavar,
    read: (written) => {
      const value = read(written);
      return value === undefined ? refusal : { ok: true, value };
    },
  };
}

export function isBooleanSchema(schema: Schema<unknown>): boolean {
  return schema.metavar === BOOLEAN_METAVAR;
}

/** Text that is not empty and has no control characters. */
export function text(metavar = 'TEXT'): Schema<string> {
  const some = kind(metavar, 'expected text', (written) => (typeof written === 'string' && written !== '' ? written : undefined));
  return narrow(some, 'expected text without control characters', (value) => /^\P{Cc}*$/u.test(value));
}

/** A whole number, both limits included. */
export function integer(min: number, max = Number.MAX_SAFE_INTEGER): Schema<number> {
  const expected = max === Number.MAX_SAFE_INTEGER ? `expected a whole number from ${min} on` : `expected a whole number from ${min} to ${max}`;
  return kind('INT', expected, (written) => within(numberFrom(written, /^[+-]?\d+$/), min, max, Number.isSafeInteger));
}

/** Any finite number, for values in the units of a model's input. */
export function finite(): Schema<number> {
  return kind('NUMBER', 'expected a number', (written) =>
    within(numberFrom(written, /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i), -Infinity, Infinity, Number.isFinite),
  );
}

/** Whole numbers separated by commas, in rising order, each once. */
export function integers(min: number, max: number): Schema<readonly number[]> {
  return kind('INT,…', `expected whole numbers from ${min} to ${max}, separated by commas`, (written) => {
    const list = String(typeof written === 'number' ? written : typeof written === 'string' ? written.trim() : '');
    if (!/^\d+( ?, ?\d+)*$/.test(list)) return undefined;
    const values = [...new Set(list.split(',').map(Number))].sort((a, b) => a - b);
    return values.every((value) => within(value, min, max, Number.isSafeInteger) !== undefined) ? values : undefined;
  });
}

/**
 * A time written in seconds, with an `s` or without, read as whole milliseconds. Limits are seconds. With `zeroIsNone` a 0 is read as Infinity.
 * At most 24 days: timers of Node take no more.
 */
export function seconds(limits: { readonly min?: number; readonly max?: number; readonly zeroIsNone?: true } = {}): Schema<number> {
  const { min = 0, max = 2_000_000, zeroIsNone = false } = limits;
  return kind('SECONDS', `expected seconds from ${min} to ${max}`, (written) => {
    const number = typeof written === 'string' ? written.trim().replace(/(?<=\d)s$/, '') : written;
    const value = within(numberFrom(number, /^\d+(\.\d+)?$/), min, max, Number.isFinite);
    if (value === undefined) return undefined;
    return zeroIsNone && value === 0 ? Infinity : Math.round(value * 1000);
  });
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
  const expected = `expected a size from ${min} to ${max} bytes, such as ${Math.min(max, 65_536)}, 512KiB or 64MiB`;
  return kind('SIZE', expected, (written) => within(sizeFrom(written), min, max, Number.isSafeInteger));
}

function sizeFrom(written: unknown): number | undefined {
  if (typeof written !== 'string') return numberFrom(written, /^$/);
  const [matched, amount, unit = ''] = /^(-1|\d+) ?([kmg]ib?|b)?$/i.exec(written.trim()) ?? [];
  // There is no such thing as -1 KiB.
  if (matched === undefined || (amount === '-1' && matched !== amount)) return undefined;
  return Number(amount) * (SIZE_UNITS[unit.toLowerCase()] ?? 1);
}

const BOOLEAN_METAVAR = 'BOOL';
const TRUE_WORDS: ReadonlySet<string> = new Set(['y', 'yes', 't', 'true', 'on', '1']);
const FALSE_WORDS: ReadonlySet<string> = new Set(['n', 'no', 'f', 'false', 'off', '0']);

/** KServe's words for yes and no, in any case (its `strtobool`), or a JSON boolean. */
export function boolean(): Schema<boolean> {
  return kind(BOOLEAN_METAVAR, 'expected true or false', (written) => {
    if (typeof written === 'boolean') return written;
    return typeof written === 'string' && isBooleanWord(written) ? TRUE_WORDS.has(written.toLowerCase()) : undefined;
  });
}

export function isBooleanWord(value: string): boolean {
  const word = value.toLowerCase();
  return TRUE_WORDS.has(word) || FALSE_WORDS.has(word);
}

/** One of a few words, in any case. `synonyms` maps words of other systems (lower case) to ours. */
export function oneOf<const W extends string>(words: readonly W[], synonyms: Readonly<Record<string, W>> = {}): Schema<W> {
  const expected = `expected ${words.slice(0, -1).join(', ')} or ${words.at(-1) ?? ''}`;
  return kind(words.join('|'), expected, (written) => {
    if (typeof written !== 'string') return undefined;
    const word = written.toLowerCase();
    return words.find((candidate) => candidate === word) ?? (Object.hasOwn(synonyms, word) ? synonyms[word] : undefined);
  });
}

/** `auto`, or a value of another kind. */
export function auto<T>(schema: Schema<T>): Schema<T | 'auto'> {
  return {
    metavar: `auto|${schema.metavar}`,
    read: (written) => {
      if (written === 'auto') return { ok: true, value: written };
      const reading = schema.read(written);
      return reading.ok ? reading : { ok: false, expected: `expected auto or ${reading.expected.replace(/^expected /, '')}` };
    },
  };
}

/** A name that can be a segment of a URL. */
export function modelName(): Schema<string> {
  return kind('NAME', 'expected a name without "/" and control characters', (written) =>
    typeof written === 'string' && /^[^\p{Cc}/]+$/u.test(written) ? written : undefined,
  );
}

/** A local directory or file, read as an absolute path. */
export function localPath(metavar: 'DIR' | 'FILE'): Schema<string> {
  return resolved(
    metavar,
    narrow(someText(metavar, 'expected a path'), 'expected a path on this machine', (value) => !isUri(value)),
    () => true,
  );
}

/** A local directory or file, read as an absolute path, or a URI of remote storage as it is. */
export function pathOrUri(metavar: 'DIR|URI'): Schema<string> {
  const some = someText(metavar, 'expected a path or a URI');
  const printable = narrow(some, 'expected a path or a URI without control characters', (value) => /^\P{Cc}*$/u.test(value));
  return resolved(metavar, printable, (value) => !isUri(value));
}

function someText(metavar: string, expected: string): Schema<string> {
  return kind(metavar, expected, (written) => (typeof written === 'string' && written !== '' ? written : undefined));
}

/** What is a path becomes an absolute one. */
function resolved(metavar: string, schema: Schema<string>, isPath: (value: string) => boolean): Schema<string> {
  return {
    metavar,
    read: (written) => {
      const reading = schema.read(written);
      return reading.ok && isPath(reading.value) ? { ok: true, value: resolve(reading.value) } : reading;
    },
  };
}

/** The same kind with a further condition, which has its own words. */
export function narrow<T>(schema: Schema<T>, expected: string, holds: (value: T) => boolean): Schema<T> {
  return {
    metavar: schema.metavar,
    read: (written) => {
      const reading = schema.read(written);
      return reading.ok && !holds(reading.value) ? { ok: false, expected } : reading;
    },
  };
}

/** A number as JSON has it, or as text that matches once the blanks around it are gone. */
function numberFrom(written: unknown, pattern: RegExp): number | undefined {
  if (typeof written === 'number') return written;
  return typeof written === 'string' && pattern.test(written.trim()) ? Number(written.trim()) : undefined;
}

function within(value: number | undefined, min: number, max: number, isKind: (value: number) => boolean): number | undefined {
  return value !== undefined && isKind(value) && value >= min && value <= max ? value : undefined;
}
