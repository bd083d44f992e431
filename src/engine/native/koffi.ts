import { closeSync, openSync, readSync } from 'node:fs';
import { createRequire } from 'node:module';
import type * as Koffi from 'koffi';

/** As package.json pins it. */
export const KOFFI_VERSION = '3.3.4';

const require = createRequire(import.meta.url);

/**
 * The library that calls C. Its own program looks for its native part in many places and wraps what is deprecated, which on a start takes five times as long as
 * loading that part (10 to 20 ms): where the part is at hand it is taken alone.
 */
export const koffi: typeof Koffi = openNativePart() ?? (require('koffi') as typeof Koffi);

/** Undefined where it is not the prebuilt one of this version. */
function openNativePart(): typeof Koffi | undefined {
  const { platform, arch } = process;
  if (platform !== 'linux' || (arch !== 'x64' && arch !== 'arm64') || !hasGlibc()) return undefined;
  try {
    const part = require(`@koromix/koffi-${platform}-${arch}/${platform}_${arch}/koffi.node`) as typeof Koffi & { readonly version?: string };
    return part.version === KOFFI_VERSION ? part : undefined;
  } catch {
    return undefined;
  }
}

/** The program names its loader in its first page; that of another C library has another name. */
function hasGlibc(): boolean {
  const page = Buffer.alloc(4096);
  try {
    const file = openSync(process.execPath, 'r');
    try {
      readSync(file, page, 0, page.length, 0);
    } finally {
      closeSync(file);
    }
  } catch {
    return false;
  }
  return page.includes('/ld-linux-');
}
