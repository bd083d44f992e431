import { existsSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { FRAME_PROTOCOL } from './frame.ts';

/**
 * Names the build that a child's entry file belongs to: frame protocol and the names, sizes and times of the files beside it and in `bundle` below, whose names
 * tell their contents. The parent reads it before its first child and each child when it starts, so a program replaced on disk under a running server is
 * noticed. Throws when the folder cannot be read.
 */
export function readBuildId(entryPath: string): string {
  const folder = dirname(entryPath);
  const bundle = join(folder, 'bundle');
  let facts = `${FRAME_PROTOCOL}\n`;
  for (const place of existsSync(bundle) ? [folder, bundle] : [folder]) {
    for (const name of readdirSync(place).sort()) {
      const file = statSync(join(place, name));
      if (file.isFile()) facts += `${name} ${file.size} ${file.mtimeMs}\n`;
    }
  }
  return crc32(facts).toString(16);
}
