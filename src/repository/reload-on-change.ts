import type { Logger } from '../core/context.ts';
import { watchFiles, type FileWatch, type WatchedFiles } from './file-watch.ts';
import { backoffMs, type LoadOutcome } from './model-poll.ts';

/** Calls `load`, which never rejects, after changes of files; again while another operation is in its way, and ever more rarely while what is polled fails. */
export async function reloadOnChange(files: WatchedFiles, pollMs: number, log: Logger, load: () => Promise<LoadOutcome>): Promise<FileWatch> {
  let failures = 0;
  const changed = async (): Promise<boolean | number> => {
    const outcome = await load();
    if (outcome === 'busy') return false;
    failures = outcome === 'loaded' ? 0 : failures + 1;
    // Who edits a file comes back; nobody may for what was mounted or copied.
    return failures === 0 || pollMs === 0 ? true : backoffMs(pollMs, failures);
  };
  return await watchFiles(files, changed, log, { pollMs });
}
