import type { Written } from './section.ts';

/** One value that somebody wrote, and where: `--http_port`, `PORT` or `config.json: http_port`. */
export interface Given {
  readonly value: Written;
  readonly origin: string;
}

/** What one source (command line, environment, file) holds: values by option name, and what is wrong with it. */
export interface Source {
  readonly given: ReadonlyMap<string, Given>;
  readonly problems: readonly string[];
}

/** `http-port`, `http_port` and `timeout-keep-alive` are one spelling each. */
export function canonicalName(written: string): string {
  return written.replaceAll('-', '_');
}

const MAX_SHOWN_CHARACTERS = 80;

/** A value as it appears in a problem: quoted, on one line, of bounded length. */
export function showValue(value: Written): string {
  const shown = JSON.stringify(value);
  return shown.length > MAX_SHOWN_CHARACTERS ? `${shown.slice(0, MAX_SHOWN_CHARACTERS)}…` : shown;
}
