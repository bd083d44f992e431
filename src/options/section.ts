import type { Schema } from './kinds.ts';

/** What people write: text in a flag or a variable, a JSON value in the config file. */
export type Written = string | number | boolean;

export interface Option<T = unknown> {
  /** The one spelling from which flag, variable and file key come, in snake_case. */
  readonly name: string;
  readonly schema: Schema<T>;
  /** One sentence for `--help` and the README, without a final period. */
  readonly doc: string;
  /** As people would write it; it passes through the schema like any other value. */
  readonly default?: Written;
  /** Nothing works without it, and no default makes sense. */
  readonly required?: true;
  /** Never printed, neither in problems nor in help. */
  readonly secret?: true;
  /** Variables of other systems that mean the same, tried after ours. */
  readonly env?: readonly string[];
  /** Further spellings of the flag, in snake_case. */
  readonly flags?: readonly string[];
}

/** The options of one stage. Keys are the names of the properties that the stage reads. */
export interface Section<O extends Readonly<Record<string, Option>> = Readonly<Record<string, Option>>> {
  readonly title: string;
  readonly options: O;
}

type ValueOf<O> = O extends { readonly schema: Schema<infer T> }
  ? O extends { readonly default: Written } | { readonly required: true }
    ? T
    : T | undefined
  : never;

/** The frozen object that a stage receives: every property is there, `undefined` only for an option without default that is not required. */
export type OptionsOf<S extends Section> = { readonly [K in keyof S['options']]: ValueOf<S['options'][K]> };

export function defineSection<const O extends Readonly<Record<string, Option>>>(section: Section<O>): Section<O> {
  return section;
}

export const ENV_PREFIX = 'KSERVE_NODE_';

export function flagOf(name: string): string {
  return `--${name}`;
}

export function variableOf(name: string): string {
  return ENV_PREFIX + name.toUpperCase();
}
