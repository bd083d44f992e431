export { COMPATIBILITY_FLAGS, type CompatibilityFlag } from './compatibility.ts';
export type { ReadFile } from './config-file.ts';
export type { Environment } from './environment.ts';
export { renderHelp } from './help.ts';
export {
  auto,
  boolean,
  bytes,
  finite,
  integer,
  integers,
  localPath,
  modelName,
  narrow,
  oneOf,
  pathOrUri,
  seconds,
  text,
  type Schema,
} from './kinds.ts';
export { CONFIG_FILE_OPTION, loadOptions, type LoadedOptions, type OptionSources, type Sections } from './load.ts';
export { didYouMean, nearest } from './nearest.ts';
export { defineSection, flagOf, variableOf, type Option, type OptionsOf, type Section, type Written } from './section.ts';
export { serverSection, type ServerOptions } from './server-options.ts';
