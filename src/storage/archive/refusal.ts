import { basename } from 'node:path';
import { isServingError, ServingError } from '../../core/errors.ts';

/** Makes the error for one entry (undefined: the archive as a whole): what is wrong with it and what its owner can do. */
export type Refuse = (entry: string | undefined, problem: string, fix: string, cause?: unknown) => ServingError;

/** One line in all cases: entry names come from strangers and may hold line breaks, escapes for terminals or a megabyte. */
export function createRefuse(file: string): Refuse {
  return (entry, problem, fix, cause) => {
    const subject = entry === undefined ? 'it' : `entry ${quoteName(entry)}`;
    return new ServingError('invalid_request', `Cannot unpack ${quoteName(basename(file))}: ${subject} ${problem}; ${fix}`, { cause });
  };
}

const MAX_QUOTED = 160;

/** In quotes, with everything invisible spelled out and the middle of long names left out. */
export function quoteName(name: string): string {
  const short = name.length <= MAX_QUOTED ? name : `${name.slice(0, MAX_QUOTED / 2)}…${name.slice(-MAX_QUOTED / 2)}`;
  return JSON.stringify(short).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (sign) => `\\u{${(sign.codePointAt(0) ?? 0).toString(16)}}`);
}

/**
 * What a failure means to the archive's owner. Refusals and aborts stay as they are; a system error (full disk, no permission) is the
 * machine's fault; anything else comes from the decoders and means damaged bytes.
 */
export function toUnpackError(thrown: unknown, file: string, signal: AbortSignal): unknown {
  if (isServingError(thrown)) return thrown;
  if (signal.aborted) return signal.reason;
  const { code, message } = describeFailure(thrown);
  if (isSystemError(thrown)) {
    const fix = code === 'ENOSPC' || code === 'EDQUOT' ? 'free disk space' : 'check the disk and its permissions';
    return new ServingError('internal', `Cannot unpack ${quoteName(basename(file))}: ${message.replace(/\s+/g, ' ')}; ${fix}`, { cause: thrown });
  }
  return createRefuse(file)(undefined, `is damaged or cut short (${message.replace(/\s+/g, ' ')})`, 'pack and upload it again', thrown);
}

function describeFailure(thrown: unknown): { code: string; message: string } {
  if (!(thrown instanceof Error)) return { code: '', message: String(thrown) };
  return { code: 'code' in thrown ? String(thrown.code) : '', message: thrown.message };
}

/** Errors of the file system carry the failed call; those of zlib and the parsers do not. */
function isSystemError(thrown: unknown): boolean {
  return thrown instanceof Error && 'syscall' in thrown;
}
