// An entrance of its own: a model's process takes the cache without everything that downloads.
export { openModelCache, type CacheableFiles, type CachedFiles, type CacheOptions, type ModelCache } from './model-cache.ts';
