export { archiveFormat, type ArchiveFormat } from './format.ts';
export { DEFAULT_ARCHIVE_LIMITS, type ArchiveLimits } from './limits.ts';
export { unpackArchive, type Unpacked } from './unpack.ts';
