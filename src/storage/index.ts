export { download, type DownloadContext } from './download.ts';
export { showUri } from './failure.ts';
export { findUnfinishedDownload, type UnfinishedDownload } from './staging.ts';
export type { DownloadProgress, DownloadReport } from './storage.ts';
