import { cannotDownload } from './failure.ts';
import type { Environment } from './storage.ts';

/** Which paths KServe's STORAGE_ALLOW_PATTERNS and STORAGE_IGNORE_PATTERNS let through: shell patterns, as a JSON array or with commas between. */
export function readPatterns(env: Environment, uri: string): (path: string) => boolean {
  const allow = parsePatterns('STORAGE_ALLOW_PATTERNS', env, uri);
  const ignore = parsePatterns('STORAGE_IGNORE_PATTERNS', env, uri);
  const matches = (patterns: readonly RegExp[], path: string): boolean => patterns.some((pattern) => pattern.test(path));
  return (path) => (allow.length === 0 || matches(allow, path)) && !matches(ignore, path);
}

function parsePatterns(variable: string, env: Environment, uri: string): readonly RegExp[] {
  const written = env[variable]?.trim() ?? '';
  const parsed = parseJson(written);
  if (parsed === undefined) return written.split(',').flatMap((pattern) => (pattern.trim() === '' ? [] : [translate(pattern.trim())]));
  if (!Array.isArray(parsed) || !parsed.every((pattern) => typeof pattern === 'string')) {
    throw cannotDownload(
      'invalid_request',
      uri,
      `${variable}: expected a JSON array of patterns or patterns with commas between, got ${JSON.stringify(written)}`,
    );
  }
  return parsed.map(translate);
}

/** Undefined for what is no JSON array: a pattern may begin with a bracket, too. */
function parseJson(written: string): unknown {
  if (!written.startsWith('[')) return undefined;
  try {
    return JSON.parse(written) as unknown;
  } catch {
    return undefined;
  }
}

/** Python's fnmatch: `*` goes over `/` too. A folder's name with `/` at its end means all that is in it. */
function translate(pattern: string): RegExp {
  const whole = pattern.endsWith('/') ? `${pattern}*` : pattern;
  // Stars in a row are one: two of them would make the matcher try every split.
  const source = whole.replaceAll(/\*+|\?|\[(!?)(\]?[^\]]*)\]|[\s\S]/g, (found: string, not: string | undefined, set: string | undefined) => {
    if (found.startsWith('*')) return '[^]*?';
    if (found === '?') return '[^]';
    if (set === undefined || set === '') return found.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
    return `[${not === '!' ? '^' : ''}${set.replaceAll(/[\\\][^]/g, '\\$&')}]`;
  });
  return new RegExp(`^${source}$`);
}
