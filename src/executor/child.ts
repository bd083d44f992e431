import { prepareEngine } from '../engine/index.ts';
import { loadPipeline } from '../pipeline/index.ts';
import { readBuildId } from './build-id.ts';
import { hostPipelines } from './child-host.ts';
import { PREPARE_ENGINE } from './child-spawn.ts';
import { openFramePipe } from './frame-pipe.ts';

export interface ChildSurroundings {
  /** Path of the program, as the parent started it. */
  readonly entry: string;
  readonly args: readonly string[];
  /** Called once, when all that a first answer takes has run. */
  readonly keepCompiled: () => void;
}

/** The child's whole life: hosts pipelines for the parent at file descriptor 3. Started by child-link.ts only. */
export function runChild({ entry, args, keepCompiled }: ChildSurroundings): void {
  process.on('uncaughtException', exitBecause);
  const host = hostPipelines(openFramePipe(3), {
    buildId: readBuildId(entry),
    loadPipeline,
    exit,
    answered: keepCompiled,
  });
  // The parent is still importing its own modules.
  if (args.includes(PREPARE_ENGINE)) void prepareEngine();
  // What a handler forgets to await fails alone: the requests of others go on.
  process.on('unhandledRejection', (reason) => {
    if (!host.takeRejection(reason)) exitBecause(reason, 'unhandledRejection');
  });
}

/** Standard error is written synchronously and the parent logs it; the last line becomes the reason it tells. */
function exit(code: number, lastWords?: string): void {
  if (lastWords !== undefined) process.stderr.write(`${lastWords}\n`);
  process.exit(code);
}

function exitBecause(error: unknown, origin: string): void {
  const stack = error instanceof Error ? `${error.stack ?? ''}\n` : '';
  exit(1, `${stack}${origin}: ${String(error).replaceAll('\n', ' ')}`);
}
