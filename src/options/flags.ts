import { parseArgs } from 'node:util';
import { didYouMean } from './nearest.ts';
import { flagOf } from './section.ts';
import { canonicalName, showValue, type Given, type Source } from './source.ts';

/** What a spelling of a flag stands for. */
export interface FlagTarget {
  readonly name: string;
  /** Needs no value: bare `--x` means `--x=true`. */
  readonly isBoolean: boolean;
}

interface Token {
  readonly kind: 'option' | 'positional' | 'option-terminator';
  readonly index: number;
  readonly name?: string;
  readonly value?: string | undefined;
}

/**
 * Reads a command line in which every flag is known and given once, in the spellings `--a_b`, `--a-b`, `--x=y` and `--x y`.
 * `spellings` maps each spelling, in snake_case, to its option. Values of flags that are not known are never repeated in problems: they may be secrets.
 */
export function readFlags(argv: readonly string[], spellings: ReadonlyMap<string, FlagTarget>): Source {
  const given = new Map<string, Given>();
  const problems: string[] = [];
  const args = argv.map((argument, index) => canonicalArgument(argument, argv[index + 1], spellings));
  const tokens = tokenize(args, spellings);
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at];
    if (token === undefined || token.kind === 'option-terminator') continue;
    if (token.kind === 'positional') {
      problems.push(`unexpected argument ${showValue(token.value ?? '')}, options are written --name=value`);
      continue;
    }
    const name = token.name ?? '';
    const written = args[token.index] ?? '';
    const target = written.startsWith('--') ? spellings.get(name) : undefined;
    if (target === undefined) at = lastOfGroup(tokens, at);
    const following = tokens[at + 1];
    const separate =
      token.value === undefined && following?.kind === 'positional' && following.index === token.index + 1 ? following.value : undefined;
    if (separate !== undefined) at++;
    if (target === undefined) problems.push(unknownFlag(written, spellings.keys()));
    else if (given.has(target.name)) problems.push(`${flagOf(name)}: given more than once`);
    else given.set(target.name, { value: token.value ?? separate ?? true, origin: flagOf(name) });
  }
  return { given, problems };
}

/** With `_` in the flag's name. A flag that lacks its value gets an empty one, lest it swallow the flag behind it. */
function canonicalArgument(argument: string, next: string | undefined, spellings: ReadonlyMap<string, FlagTarget>): string {
  if (!argument.startsWith('--') || argument === '--') return argument;
  const end = argument.indexOf('=');
  if (end >= 0) return `--${canonicalName(argument.slice(2, end))}${argument.slice(end)}`;
  const name = canonicalName(argument.slice(2));
  const lacksValue = spellings.get(name)?.isBoolean === false && (next === undefined || next.startsWith('--'));
  return lacksValue ? `--${name}=` : `--${name}`;
}

function tokenize(args: string[], spellings: ReadonlyMap<string, FlagTarget>): readonly Token[] {
  const options: Record<string, { type: 'string' | 'boolean' }> = {};
  for (const [spelling, target] of spellings) options[spelling] = { type: target.isBoolean ? 'boolean' : 'string' };
  return parseArgs({ args, options, strict: false, allowPositionals: true, tokens: true }).tokens;
}

/** `-abc` is one argument and several tokens. */
function lastOfGroup(tokens: readonly Token[], at: number): number {
  let last = at;
  while (tokens[last + 1]?.index === tokens[at]?.index) last++;
  return last;
}

function unknownFlag(written: string, known: Iterable<string>): string {
  const [shown = ''] = written.split('=', 1);
  return `unknown flag ${shown}${didYouMean(canonicalName(shown.replace(/^-+/, '')), known, flagOf)}`;
}
