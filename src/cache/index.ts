export { createResponseCache, type CachedModel, type ResponseCache, type ResponseCacheObserver } from './response-cache.ts';
