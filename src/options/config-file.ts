import { didYouMean } from './nearest.ts';
import { canonicalName, type Given, type Source } from './source.ts';
import type { Option } from './section.ts';

/** Reads a file as text; throws as `fs.readFileSync` does. */
export type ReadFile = (path: string) => string;

/** The config file: one JSON object whose keys are names of options. Its text is never repeated in problems: it may hold secrets. */
export function readConfigFile(path: string, readFile: ReadFile, options: readonly Option[]): Source {
  const given = new Map<string, Given>();
  const parsed = parse(path, readFile);
  if ('problem' in parsed) return { given, problems: [parsed.problem] };
  const known = new Set(options.map((option) => option.name));
  const problems: string[] = [];
  for (const [key, value] of Object.entries(parsed.object)) {
    const name = canonicalName(key);
    const origin = `${path}: ${name}`;
    if (!known.has(name)) problems.push(`${path}: unknown key ${JSON.stringify(key)}${didYouMean(name, known)}`);
    else if (given.has(name)) problems.push(`${origin}: given more than once`);
    else if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') given.set(name, { value, origin });
    else problems.push(`${origin}: expected text, a number or a boolean, got ${kindOf(value)}`);
  }
  return { given, problems };
}

function parse(path: string, readFile: ReadFile): { readonly object: object } | { readonly problem: string } {
  let text: string;
  try {
    text = readFile(path);
  } catch (error) {
    return { problem: `--config_file: cannot read ${JSON.stringify(path)} (${codeOf(error)})` };
  }
  try {
    const value: unknown = JSON.parse(text.replace(/^\uFEFF/, ''));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { object: value };
    return { problem: `${path}: expected a JSON object of options, got ${kindOf(value)}` };
  } catch (error) {
    return { problem: `${path}: not valid JSON${positionOf(error, text)}` };
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
}

/** V8 names a position in some of its messages, and quotes the text in others. */
function positionOf(error: unknown, text: string): string {
  const position = error instanceof Error ? / at position (\d+)/.exec(error.message)?.[1] : undefined;
  if (position === undefined) return '';
  const lines = text.slice(0, Number(position)).split('\n');
  return ` at line ${lines.length}, column ${(lines.at(-1)?.length ?? 0) + 1}`;
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'an array' : value === Object(value) ? 'an object' : `a ${typeof value}`;
}
