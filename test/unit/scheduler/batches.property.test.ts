import fc from 'fast-check';
import { expect, it } from 'vitest';
import { BATCH_SCHEDULE, playBatches } from './play-batches.ts';

/** More of them: test/soak/batching-soak.test.ts. */
it('batches: in any schedule every request is answered once, with its own rows or for its own reason', async () => {
  expect.hasAssertions();
  await fc.assert(fc.asyncProperty(BATCH_SCHEDULE, playBatches), { numRuns: 500 });
}, 60_000);
