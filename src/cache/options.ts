import { bytes, defineSection, seconds, type OptionsOf } from '../options/index.ts';

export const cacheSection = defineSection({
  title: 'Response cache',
  options: {
    maxBytes: {
      name: 'response_cache_bytes',
      schema: bytes(0, 2 ** 40),
      default: 0,
      doc: 'answers that each model keeps for equal requests, 0 for none; not for handlers that do not say isPure, nor for a predictor elsewhere',
    },
    ttlMs: {
      name: 'response_cache_ttl_seconds',
      schema: seconds({ zeroIsNone: true }),
      default: 0,
      doc: 'how long an answer is kept, 0 for as long as there is room and the model stays loaded',
    },
  },
});

/** `ttlMs` is Infinity for no limit. */
export type CacheSettings = OptionsOf<typeof cacheSection>;
