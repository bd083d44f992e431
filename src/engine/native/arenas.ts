import { availableParallelism } from 'node:os';
import { openLibrary } from './library.ts';

/** Of mallopt(3), in glibc's malloc.h. */
const M_ARENA_MAX = -8;

/**
 * glibc gives each thread of libuv's pool a heap of its own, which keeps what was freed in it; as many as there are processors are enough. Called before the first
 * run, because arenas that exist stay. Other C libraries have no arenas, or no mallopt; then nothing happens.
 */
export function limitArenas(): void {
  if (process.platform !== 'linux') return;
  try {
    openLibrary(null).symbol('mallopt', 'int32', ['int32', 'int32'])(M_ARENA_MAX, Math.max(2, availableParallelism()));
  } catch {
    // Without the symbol there is nothing to limit.
  }
}
