import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ServingError } from '../core/errors.ts';
import { STAGING_NAME } from '../core/staging-name.ts';

/** Throws model_not_ready for a directory in which a download was begun and not ended: some of its files may be missing, or of two versions. */
export async function refuseUnfinished(dirs: Iterable<string>): Promise<void> {
  for (const dir of new Set(dirs)) {
    const names = await readdir(dir).catch(() => []);
    const journal = names.find((name) => name.startsWith(STAGING_NAME));
    if (journal !== undefined) await refuse(dir, journal);
  }
}

async function refuse(dir: string, journal: string): Promise<never> {
  const { findUnfinishedDownload, showUri } = await import('../storage/index.ts');
  const { uri, startedAt } = (await findUnfinishedDownload(dir)) ?? {};
  const what = `${uri === undefined ? '' : ` of ${showUri(uri)}`}${startedAt === undefined ? '' : `, begun ${startedAt}`}`;
  throw new ServingError(
    'model_not_ready',
    `Cannot serve ${dir}: it holds an unfinished download${what} (${join(dir, journal)}), let it end or run it again, which cleans up`,
  );
}
