import { COMPATIBILITY_FLAGS } from './compatibility.ts';
import { readConfigFile, type ReadFile } from './config-file.ts';
import { readEnvironment, readForeignEnvironment, type Environment } from './environment.ts';
import { readFlags, type FlagTarget } from './flags.ts';
import { isBooleanSchema, text } from './kinds.ts';
import { flagOf, type Option, type OptionsOf, type Section } from './section.ts';
import { showValue, type Given, type Source } from './source.ts';

export type Sections = Readonly<Record<string, Section>>;

export interface OptionSources {
  /** Without the program and the verb. */
  readonly argv: readonly string[];
  readonly env: Environment;
  readonly readFile: ReadFile;
}

type Values<S extends Sections> = { readonly [K in keyof S]: OptionsOf<S[K]> };
/** What could be read: where something is wrong the value is undefined. */
type PartialValues<S extends Sections> = { readonly [K in keyof S]: { readonly [P in keyof OptionsOf<S[K]>]: OptionsOf<S[K]>[P] | undefined } };

export type LoadedOptions<S extends Sections> =
  | { readonly ok: true; readonly values: Values<S>; readonly warnings: readonly string[] }
  | { readonly ok: false; readonly values: PartialValues<S>; readonly problems: readonly string[] };

/** Says where further options are written; read before them and part of no section. */
export const CONFIG_FILE_OPTION: Option = {
  name: 'config_file',
  schema: text('FILE'),
  doc: 'JSON file that holds options by name, for example {"http_port": 9000}; flags and variables win over it',
};

const NOTHING: Source = { given: new Map(), problems: [] };

/** Values by precedence flag > variable > file > default, checked and frozen; or every problem there is, one line each. */
export function loadOptions<S extends Sections>(sections: S, { argv, env, readFile }: OptionSources): LoadedOptions<S> {
  const options = Object.values(sections).flatMap((section) => Object.values(section.options));
  const withConfigFile = [CONFIG_FILE_OPTION, ...options];
  const flags = readFlags(argv, spellingsOf(withConfigFile));
  const environment = readEnvironment(env, withConfigFile);
  const configFile = (flags.given.get(CONFIG_FILE_OPTION.name) ?? environment.given.get(CONFIG_FILE_OPTION.name))?.value;
  const file = typeof configFile === 'string' && configFile !== '' ? readConfigFile(configFile, readFile, options) : NOTHING;
  const explicit: readonly Source[] = [flags, environment, readForeignEnvironment(env, options), file];
  const compatibility = readCompatibilityFlags(flags, explicit);

  const problems = [...flags.problems, ...environment.problems, ...file.problems];
  const sources = [...explicit, compatibility];
  readOption(CONFIG_FILE_OPTION, sources, problems);
  const values: Record<string, object> = {};
  for (const [key, section] of Object.entries(sections)) {
    const read = Object.entries(section.options).map(([property, option]) => [property, readOption(option, sources, problems)] as const);
    values[key] = Object.freeze(Object.fromEntries(read));
  }
  // Each property was read by the schema that its type comes from.
  if (problems.length > 0) return { ok: false, values: values as PartialValues<S>, problems };
  return { ok: true, values: values as Values<S>, warnings: compatibility.warnings };
}

function spellingsOf(options: readonly Option[]): ReadonlyMap<string, FlagTarget> {
  const spellings = new Map<string, FlagTarget>();
  for (const { name, isBoolean = false } of COMPATIBILITY_FLAGS) spellings.set(name, { name, isBoolean });
  for (const option of options) {
    const target = { name: option.name, isBoolean: isBooleanSchema(option.schema) };
    for (const spelling of [option.name, ...(option.flags ?? [])]) spellings.set(spelling, target);
  }
  return spellings;
}

/** The first source that has the option decides; what the others say is checked all the same, except by variables of other systems. */
function readOption(option: Option, sources: readonly Source[], problems: string[]): unknown {
  const all = sources.flatMap((source) => source.given.get(option.name) ?? []);
  const [first, ...shadowed] = all;
  for (const given of shadowed) if (option.env?.includes(given.origin) !== true) check(option, given, problems);
  if (first !== undefined) return check(option, first, problems);
  if (option.default !== undefined) return check(option, { value: option.default, origin: `default of ${flagOf(option.name)}` }, problems);
  if (option.required) problems.push(`${flagOf(option.name)}=${option.schema.metavar} is required: ${option.doc}`);
  return undefined;
}

function check(option: Option, given: Given, problems: string[]): unknown {
  const reading = option.schema.read(given.value);
  if (reading.ok) return reading.value;
  problems.push(`${given.origin}: ${reading.expected}, got ${option.secret ? '***' : showValue(given.value)}`);
  return undefined;
}

/** KServe's flags that are no options here: a warning for each that was given, and the values that pass to options of ours. */
function readCompatibilityFlags(flags: Source, explicit: readonly Source[]): Source & { readonly warnings: readonly string[] } {
  const given = new Map<string, Given>();
  const warnings: string[] = [];
  for (const { name, reason, standsFor } of COMPATIBILITY_FLAGS) {
    const found = flags.given.get(name);
    if (found === undefined) continue;
    if (standsFor !== undefined && !explicit.some((source) => source.given.has(standsFor))) {
      given.set(standsFor, found);
      warnings.push(`${found.origin} is taken as ${flagOf(standsFor)}: ${reason}`);
    } else {
      warnings.push(`${found.origin} is ignored: ${reason}`);
    }
  }
  return { given, problems: [], warnings };
}
