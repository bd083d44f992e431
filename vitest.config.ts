import { availableParallelism } from 'node:os';
import { configDefaults, defineConfig } from 'vitest/config';

/** Long ones that break things on purpose: servers that fail in every way, killed downloads, hostile archives. They run with the soak. */
const CHAOS = [
  'test/contract/storage/**/*.test.ts',
  'test/e2e/download.test.ts',
  'test/e2e/serve-uri-faults.test.ts',
  'test/unit/storage/archive/unpack.property.test.ts',
];
const exclude = [...configDefaults.exclude, ...CHAOS];

/** A slow machine does not fail a test that waits for an event; vitest's own second does. */
const expect = { poll: { timeout: 15_000 } };

export default defineConfig({
  test: {
    // By default one processor less, which on two leaves one idle while end-to-end tests wait for processes to start.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'], exclude, expect, testTimeout: 60_000 } },
      { test: { name: 'contract', include: ['test/contract/**/*.test.ts'], exclude, expect, testTimeout: 60_000, hookTimeout: 60_000 } },
      { test: { name: 'e2e', include: ['test/e2e/**/*.test.ts'], exclude, expect, testTimeout: 60_000, hookTimeout: 60_000 } },
      { test: { name: 'soak', include: ['test/soak/**/*.test.ts', ...CHAOS], expect, testTimeout: 900_000, hookTimeout: 60_000 } },
    ],
  },
});
