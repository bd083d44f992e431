import fc from 'fast-check';
import { expect, it } from 'vitest';
import { BATCH_SCHEDULE, playBatches } from '../unit/scheduler/play-batches.ts';

it('10,000 random schedules of batches answer every request once, with its own rows or for its own reason', async () => {
  expect.hasAssertions();
  await fc.assert(fc.asyncProperty(BATCH_SCHEDULE, playBatches), { numRuns: 10_000 });
}, 600_000);
