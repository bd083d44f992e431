import { parseArgs } from 'node:util';
import { EXIT_USAGE, type Host } from './host.ts';

/** What may follow a verb: one word, flags that take a value, and switches that take none. */
export interface ArgumentRules<Flag extends string, Switch extends string> {
  /** What the word is, for the complaint when there is none or more than one, e.g. `one directory or file`. */
  readonly word: string;
  /** How to write it, without the program's name. */
  readonly usage: string;
  readonly flags?: readonly Flag[];
  readonly switches?: readonly Switch[];
}

export interface Arguments<Flag extends string, Switch extends string> {
  readonly word: string;
  readonly values: Readonly<Partial<Record<Flag, string>>>;
  readonly switches: ReadonlySet<Switch>;
}

/** Reads a verb's command line, `--flag value` and `--flag=value` alike; else all problems, one line each. */
export async function readArguments<Flag extends string = never, Switch extends string = never>(
  args: readonly string[],
  rules: ArgumentRules<Flag, Switch>,
): Promise<Arguments<Flag, Switch> | { readonly problems: readonly string[] }> {
  const { flags = [], switches = [], usage } = rules;
  const options: Record<string, { type: 'string' | 'boolean' }> = Object.fromEntries([
    ...flags.map((name): [string, { type: 'string' | 'boolean' }] => [name, { type: 'string' }]),
    ...switches.map((name): [string, { type: 'string' | 'boolean' }] => [name, { type: 'boolean' }]),
  ]);
  const { tokens } = parseArgs({ args: [...args], strict: false, allowPositionals: true, tokens: true, options });
  const problems: string[] = [];
  const words: string[] = [];
  const values: Partial<Record<Flag, string>> = {};
  const isSet = new Set<Switch>();
  for (const token of tokens) {
    if (token.kind === 'positional') words.push(token.value);
    if (token.kind !== 'option') continue;
    const flag = flags.find((name) => token.rawName === `--${name}`);
    const asSwitch = switches.find((name) => token.rawName === `--${name}`);
    if (flag !== undefined) {
      if (token.value === undefined || token.value === '') problems.push(`--${flag} needs a value: write kserve-node ${usage}`);
      else if (values[flag] !== undefined) problems.push(`--${flag} is given twice`);
      else values[flag] = token.value;
    } else if (asSwitch !== undefined && token.value === undefined) {
      isSet.add(asSwitch);
    } else if (asSwitch !== undefined) {
      problems.push(`--${asSwitch} takes no value`);
    } else {
      const { didYouMean } = await import('../options/index.ts');
      problems.push(`unknown flag ${token.rawName}${didYouMean(token.name, [...flags, ...switches], (name) => `--${name}`)}`);
    }
  }
  const [word] = words;
  if (words.length !== 1) problems.push(`expected ${rules.word}, got ${words.length}: write kserve-node ${usage}`);
  return problems.length > 0 || word === undefined ? { problems } : { word, values, switches: isSet };
}

/** The exit code, when the problems are told. */
export function refuseArguments(problems: readonly string[], host: Host): number {
  host.stderr.write(problems.map((problem) => `${problem}\n`).join(''));
  return EXIT_USAGE;
}
