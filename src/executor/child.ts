/** Entry file of the process executor's child. It is started by child-link.ts only and speaks over file descriptor 3. */
import { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { loadPipeline } from '../pipeline/index.ts';
import { readBuildId } from './build-id.ts';
import { hostPipelines } from './child-host.ts';

process.title = 'kserve-node model';

// As in main.cts: the old generation stays near what is alive.
setFlagsFromString('--heap-growing-percent=20');

// A terminal's Ctrl-C and a container's SIGTERM reach the whole group; when the child ends is the parent's decision.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);

/** Standard error is written synchronously and the parent logs it; the last line becomes the reason it tells. */
function exit(code: number, lastWords?: string): void {
  if (lastWords !== undefined) process.stderr.write(`${lastWords}\n`);
  process.exit(code);
}

function exitBecause(error: unknown, origin: string): void {
  const stack = error instanceof Error ? `${error.stack ?? ''}\n` : '';
  exit(1, `${stack}${origin}: ${String(error).replaceAll('\n', ' ')}`);
}

process.on('uncaughtException', exitBecause);

const host = hostPipelines(new Socket({ fd: 3, readable: true, writable: true }), {
  buildId: readBuildId(fileURLToPath(import.meta.url)),
  loadPipeline,
  exit,
});

// What a handler forgets to await fails alone: the requests of others go on.
process.on('unhandledRejection', (reason) => {
  if (!host.takeRejection(reason)) exitBecause(reason, 'unhandledRejection');
});
