export { downloadThrough } from './cache/download-through.ts';
export type { CacheOptions } from './cache/model-cache.ts';
export { download, type DownloadContext } from './download.ts';
export { showUri } from './failure.ts';
export { createModelSource, type ModelFiles, type ModelLook, type ModelSource } from './model-source.ts';
export { findUnfinishedDownload, type UnfinishedDownload } from './staging.ts';
export type { DownloadProgress, DownloadReport } from './storage.ts';
