/** What `unpackArchive` opens. A tar is unpacked whether or not it is gzipped: its first bytes decide, as they do for KServe's initializer. */
export type ArchiveFormat = 'zip' | 'tar' | 'tar.gz';

const ENDINGS: readonly (readonly [string, ArchiveFormat])[] = [
  ['.zip', 'zip'],
  ['.tar', 'tar'],
  ['.tar.gz', 'tar.gz'],
  ['.tgz', 'tar.gz'],
];

/** The format that a file's name promises, or undefined when it is no archive. Upper and lower case are one. */
export function archiveFormat(path: string): ArchiveFormat | undefined {
  const name = path.toLowerCase();
  return ENDINGS.find(([ending]) => name.endsWith(ending))?.[1];
}
