import { STAGING_NAME } from '../../core/staging-name.ts';
import type { ArchiveLimits } from './limits.ts';
import type { Refuse } from './refusal.ts';

const MAX_NAME_BYTES = 255;
const MAX_PATH_BYTES = 2048;
const CONTROL = /[\u0000-\u001f\u007f]/;

/**
 * The names along an entry's path, from the root of the tree; empty for the root itself. `.` and doubled slashes are left out, everything
 * that leads elsewhere or that no file system or terminal takes well is refused.
 */
export function splitEntryPath(name: string, { maxDepth }: ArchiveLimits, refuse: Refuse): string[] {
  if (CONTROL.test(name)) throw refuse(name, 'has a control character in its name', 'rename it');
  if (name.includes('\ufffd')) throw refuse(name, 'has a name that is not valid UTF-8', 'rename it, or pack with UTF-8 names');
  if (name.includes('\\')) throw refuse(name, 'has a backslash in its name', 'pack with "/" between directories');
  if (name.startsWith('/') || /^[A-Za-z]:/.test(name)) {
    throw refuse(name, 'has an absolute path', 'pack with paths relative to the model directory');
  }
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw refuse(name, 'leads out of the directory with ".."', 'pack from inside the model directory');
  if (parts.length > maxDepth) throw refuse(name, `lies ${parts.length} directories deep, over the limit of ${maxDepth}`, 'flatten the directories');
  if (Buffer.byteLength(name) > MAX_PATH_BYTES || parts.some((part) => Buffer.byteLength(part) > MAX_NAME_BYTES)) {
    throw refuse(name, `has a name over ${MAX_NAME_BYTES} bytes or a path over ${MAX_PATH_BYTES}`, 'shorten it');
  }
  // An archive must not be able to forge what unfinished downloads are known by.
  if (parts.some((part) => foldName(part) === STAGING_NAME)) throw refuse(name, `is called ${STAGING_NAME}, which is reserved`, 'rename it');
  return parts;
}

/** Equal for names that some file system takes for one: upper and lower case, composed and decomposed letters. */
export function foldName(name: string): string {
  return name.normalize('NFKC').toUpperCase().toLowerCase().normalize('NFC');
}
