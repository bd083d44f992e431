import { STAGING_NAME } from '../core/staging-name.ts';
import { cannotDownload } from './failure.ts';
import type { RemoteFile } from './storage.ts';

/** What `key` is called below `prefix` in the destination, or undefined when it lies beside it: `models/a` has nothing to do with `models/ab/x`. */
export function pathBelow(prefix: string, key: string): string | undefined {
  if (key === prefix) return key.slice(key.lastIndexOf('/') + 1);
  const folder = prefix === '' || prefix.endsWith('/') ? prefix : `${prefix}/`;
  return key.startsWith(folder) ? key.slice(folder.length).replace(/^\/+/, '') : undefined;
}

/** Checks all paths before anything is written: none leaves the destination, none is there twice, none is a file and a folder. */
export function checkPaths(files: readonly RemoteFile[], uri: string): void {
  const seen = new Set<string>();
  const folders = new Set<string>();
  for (const { path, key } of files) {
    const problem = describeBadPath(path);
    if (problem !== undefined)
      throw cannotDownload('invalid_request', uri, `refused object ${JSON.stringify(key)}, ${problem}: rename it in storage`);
    if (seen.has(path))
      throw cannotDownload('invalid_request', uri, `expected one object for ${JSON.stringify(path)}, got two: remove one from storage`);
    seen.add(path);
    for (let end = path.indexOf('/'); end !== -1; end = path.indexOf('/', end + 1)) folders.add(path.slice(0, end));
  }
  for (const folder of folders) {
    if (seen.has(folder)) {
      throw cannotDownload(
        'invalid_request',
        uri,
        `expected ${JSON.stringify(folder)} to be a file or a folder, got objects for both: remove one from storage`,
      );
    }
  }
}

const MAX_NAME_BYTES = 255;
const MAX_PATH_BYTES = 3500;

function describeBadPath(path: string): string | undefined {
  if (path === '' || path.startsWith('/')) return 'its path is not relative';
  if (/\p{Cc}/u.test(path)) return 'its path has control characters';
  const segments = path.split('/');
  if (segments.includes('..') || segments.includes('.')) return 'its path leaves the destination';
  if (segments.includes('')) return 'its path has an empty segment';
  if (segments[0] === STAGING_NAME) return `${STAGING_NAME} is reserved`;
  if (Buffer.byteLength(path) > MAX_PATH_BYTES || segments.some((segment) => Buffer.byteLength(segment) > MAX_NAME_BYTES))
    return 'its path is too long';
  return undefined;
}
