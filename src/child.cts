/** The program of a model process, which the process executor starts. CommonJS, as main.cts: it starts sooner. */
import type * as Child from './executor/child.ts' with { 'resolution-mode': 'import' };

process.title = 'kserve-node model';

// As in main.cts: the old generation stays near what is alive.
process.getBuiltinModule('node:v8').setFlagsFromString('--heap-growing-percent=20');

// A terminal's Ctrl-C and a container's SIGTERM reach the whole group; when the child ends is the parent's decision.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);

interface ChildModule {
  readonly importChild: () => Promise<typeof Child>;
  readonly keepCompiled: () => void;
}
const { importChild, keepCompiled } = process.getBuiltinModule('node:module').createRequire(__filename)('./child-module.cjs') as ChildModule;

importChild().then(
  ({ runChild }) => {
    runChild({ entry: __filename, args: process.argv.slice(2), keepCompiled });
  },
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? '') : ''}\nCannot start: ${String(error)}\n`);
    process.exit(1);
  },
);
