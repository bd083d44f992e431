import fc from 'fast-check';
import { expect, test } from 'vitest';
import { runSteps } from '../../../src/core/steps.ts';
import { chooseCoalitions, countCoalitions, type Coalitions } from '../../../src/explain/coalitions.ts';

function setsOf({ count, words, wordsEach }: Coalitions): string[] {
  return Array.from({ length: count }, (_, i) => words.subarray(i * wordsEach, (i + 1) * wordsEach).join());
}

function sizesOf({ count, words, wordsEach }: Coalitions): number[] {
  return Array.from({ length: count }, (_, i) => {
    const bits = Array.from(words.subarray(i * wordsEach, (i + 1) * wordsEach), (word) => word.toString(2)).join('');
    return bits.replaceAll('0', '').length;
  });
}

const sum = (weights: Float64Array): number => weights.reduce((total, weight) => total + weight, 0);

test('with enough samples every set is there once, with the weight of the Shapley kernel', () => {
  for (let players = 2; players <= 10; players++) {
    const all = runSteps(chooseCoalitions(players, countCoalitions(players), 0));
    expect(all.isComplete).toBe(true);
    expect(new Set(setsOf(all)).size).toBe(2 ** players - 2);
    const sizes = sizesOf(all);
    const choose = (n: number, k: number): number => (k === 0 ? 1 : (choose(n - 1, k - 1) * n) / k);
    const kernel = sizes.map((size) => (players - 1) / (choose(players, size) * size * (players - size)));
    const total = kernel.reduce((a, b) => a + b, 0);
    all.weights.forEach((weight, i) => {
      expect(weight).toBeCloseTo(kernel[i]! / total, 12);
    });
  }
});

test('fewer than two players have no sets', () => {
  expect(runSteps(chooseCoalitions(1, 10, 0)).count).toBe(0);
  expect(runSteps(chooseCoalitions(0, 10, 0)).count).toBe(0);
});

test('sampled sets are different, proper, paired with their complements, and weigh 1 together', () => {
  fc.assert(
    fc.property(fc.integer({ min: 13, max: 80 }), fc.integer({ min: 0, max: 500 }), fc.integer({ min: 0 }), (players, more, seed) => {
      const samples = 2 * players + more;
      const chosen = runSteps(chooseCoalitions(players, samples, seed));
      const sets = setsOf(chosen);
      expect(chosen.count).toBeLessThanOrEqual(samples);
      expect(chosen.count).toBeGreaterThan(samples * 0.9);
      expect(new Set(sets).size).toBe(chosen.count);
      const sizes = sizesOf(chosen);
      expect(Math.min(...sizes)).toBeGreaterThan(0);
      expect(Math.max(...sizes)).toBeLessThan(players);
      expect(sum(chosen.weights)).toBeCloseTo(1, 9);
      for (let i = 0; i + 1 < chosen.count; i += 2) {
        if (sizes[i]! * 2 === players) break;
        expect(sizes[i]! + sizes[i + 1]!).toBe(players);
      }
    }),
    { numRuns: 50 },
  );
});
