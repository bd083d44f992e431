import type { TensorMetadata } from '../core/metadata.ts';

const MOST_NAMES = 16;
const LONGEST_NAME = 128;

/** A name in a message; names come from clients and may be of any length. */
export function quoteName(name: string): string {
  return name.length > LONGEST_NAME ? `"${name.slice(0, LONGEST_NAME)}…"` : `"${name}"`;
}

/** The declared names for a message, e.g. `"a", "b"`, or `no inputs`. */
export function listNames(declared: readonly TensorMetadata[], noun: 'inputs' | 'outputs'): string {
  if (declared.length === 0) return `no ${noun}`;
  const names = declared.slice(0, MOST_NAMES).map((metadata) => quoteName(metadata.name));
  const rest = declared.length - names.length;
  return names.join(', ') + (rest > 0 ? ` and ${rest} more` : '');
}
