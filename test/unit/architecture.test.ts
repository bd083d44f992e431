import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { describe, expect, it } from 'vitest';

/** Who may import whom: a folder imports only from steps to its left. Folders on one step do not know each other. */
const STEPS = [
  ['core'],
  ['codec', 'options'],
  ['telemetry'],
  ['client', 'storage'],
  ['bench', 'engine', 'handler', 'manifest'],
  ['rollout'],
  ['index.ts'],
  ['pipeline'],
  ['executor', 'scheduler'],
  ['cache', 'repository'],
  ['dataplane'],
  ['explain', 'testing'],
  ['protocol/http2'],
  ['protocol/http'],
  ['protocol/openapi', 'protocol/v1-rest', 'protocol/v2-grpc', 'protocol/v2-rest', 'console'],
  ['settings.ts'],
  ['head-start.ts'],
  ['server.ts'],
  ['embed.ts'],
  ['cli'],
  ['cli-module.cts', 'child-module.cts'],
  ['main.cts', 'child.cts'],
];

/** One home for each outside library. */
const LIBRARY_HOMES: Readonly<Record<string, readonly string[]>> = {
  express: ['protocol/http'],
  'node:child_process': ['executor', 'bench'],
  cloudevents: ['protocol/http'],
  esbuild: ['cli'],
  tsx: ['handler'],
  'prom-client': ['telemetry'],
  pino: ['telemetry'],
  'pino-pretty': ['telemetry'],
  '@kubernetes/client-node': ['rollout'],
  '@aws-sdk/client-s3': ['storage'],
  'fast-xml-parser': ['storage'],
  'tar-stream': ['storage/archive'],
  yauzl: ['storage/archive'],
  koffi: ['engine/native'],
  'onnxruntime-node': ['engine/onnx'],
};

const SRC = resolve(import.meta.dirname, '../../src');
const IMPORT = /^\s*(?:import|export)\b[^'"]*?\bfrom\s+['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)|^\s*import\s+['"]([^'"]+)['"]/gm;

interface Import {
  readonly from: string;
  readonly to: string;
}

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((name) => /\.c?ts$/.test(name));
const imports: Import[] = files.flatMap((from) =>
  [...readFileSync(join(SRC, from), 'utf8').matchAll(IMPORT)].map((match) => ({
    from: from.split(sep).join('/'),
    to: match[1] ?? match[2] ?? match[3] ?? '',
  })),
);

const internal = imports
  .filter(({ to }) => to.startsWith('.'))
  .map(({ from, to }) => ({
    from,
    to: relative(SRC, resolve(dirname(join(SRC, from)), to))
      .split(sep)
      .join('/'),
  }))
  .filter(({ to }) => !to.startsWith('..'));

/** The unit that a file belongs to: its top-level folder (protocols: one level deeper), or itself at the top. */
function unitOf(file: string): string {
  const [first = '', second = ''] = file.split('/');
  return first === 'protocol' ? `${first}/${second}` : first;
}

function stepOf(file: string): number {
  return STEPS.findIndex((step) => step.includes(unitOf(file)));
}

describe('architecture', () => {
  it('knows a step for every top-level folder and file of src', () => {
    expect(files.filter((file) => stepOf(file) === -1)).toEqual([]);
  });

  it('imports only leftwards, and never between folders of one step', () => {
    const isOptionSection = (file: string): boolean => /(^|[/-])options\.ts$/.test(file);
    const breaches = internal.filter(({ from, to }) => unitOf(from) !== unitOf(to) && !isOptionSection(to) && stepOf(to) >= stepOf(from));
    expect(breaches).toEqual([]);
  });

  it('imports a folder from outside only through its index.ts, core and option sections excepted', () => {
    const breaches = internal.filter(({ from, to }) => {
      // What a program starts from is no part of its folder's interface.
      if (/^child(-module)?\.cts$/.test(from) && to === 'executor/child.ts') return false;
      if (unitOf(from) === unitOf(to) || to.startsWith('core/') || /(^|[/-])options\.ts$/.test(to) || !to.includes('/')) return false;
      // A model's process takes the cache without all that downloads.
      return to !== `${unitOf(to)}/index.ts` && to !== 'storage/cache/index.ts';
    });
    expect(breaches).toEqual([]);
  });

  it('keeps every outside library in its one home', () => {
    const isHome = (from: string, homes: readonly string[]): boolean =>
      homes.some((home) => (home.startsWith('*') ? from.endsWith(home.slice(1)) : from.startsWith(`${home}/`)));
    const breaches = imports.filter(({ from, to }) => {
      if (to.startsWith('.')) return false;
      const name = to.startsWith('@') ? to.split('/').slice(0, 2).join('/') : (to.split('/')[0] ?? '');
      if (name.startsWith('node:') && LIBRARY_HOMES[name] === undefined) return false;
      return !isHome(from, LIBRARY_HOMES[name] ?? []);
    });
    expect(breaches).toEqual([]);
  });

  it.each(['index.ts', 'client/index.ts'])('%s loads no outside library before it is used', (entry) => {
    // Types are erased, and what is imported in a function waits for its call.
    const STATIC = /^(?:import|export)\s+(?!type\b)[^'"]*?\bfrom\s+['"]([^'"]+)['"]/gm;
    const seen = new Set<string>();
    const outside: string[] = [];
    const visit = (file: string): void => {
      if (seen.has(file)) return;
      seen.add(file);
      for (const [, to = ''] of readFileSync(join(SRC, file), 'utf8').matchAll(STATIC)) {
        if (to.startsWith('.')) visit(relative(SRC, resolve(dirname(join(SRC, file)), to)));
        else if (!to.startsWith('node:')) outside.push(`${file} > ${to}`);
      }
    };
    visit(entry);
    expect(seen.size).toBeGreaterThan(5);
    expect(outside).toEqual([]);
  });

  it('has no import cycle, type imports included', () => {
    const edges = new Map<string, string[]>();
    for (const { from, to } of internal) edges.set(from, [...(edges.get(from) ?? []), to]);
    const state = new Map<string, 'open' | 'done'>();
    const cycles: string[] = [];
    const visit = (file: string, path: readonly string[]): void => {
      if (state.get(file) === 'done') return;
      if (state.get(file) === 'open') {
        cycles.push([...path.slice(path.indexOf(file)), file].join(' > '));
        return;
      }
      state.set(file, 'open');
      for (const next of edges.get(file) ?? []) visit(next, [...path, file]);
      state.set(file, 'done');
    };
    for (const file of edges.keys()) visit(file, []);
    expect(cycles).toEqual([]);
  });

  it('keeps every source file within 400 lines', () => {
    expect(files.filter((file) => readFileSync(join(SRC, file), 'utf8').split('\n').length > 401)).toEqual([]);
  });
});
