/** One entry as its format's reader gives it. The name is as the archive has it: nobody has checked it yet. */
export interface ArchiveEntry {
  readonly name: string;
  readonly kind: EntryKind;
  readonly executable: boolean;
  /** Of symlinks (relative to their directory) and hard links (from the archive's root); else empty. */
  readonly target: string;
  /** What the archive promises, in bytes; `content` may hold no more. */
  readonly size: number;
  /** A file's bytes, to be read before the next entry is asked for, once. */
  content(): AsyncIterable<Uint8Array>;
}

export type EntryKind = 'file' | 'directory' | 'symlink' | 'hardlink';

/** More bytes than any link needs. */
export const MAX_TARGET_BYTES = 4096;
