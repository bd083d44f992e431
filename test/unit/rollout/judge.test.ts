import { describe, expect, it } from 'vitest';
import { judge, lookSignificance, type Criteria, type CustomValue, type Side } from '../../../src/rollout/judge.ts';

const criteria: Criteria = { minRequests: 100, errorMargin: 0.005, maxErrorRatio: undefined, maxP99Ratio: 1.25, significance: 0.001 };
const healthy: Side = { requests: 1000, errors: 2 };
const bounds = [0.01, 0.05, 0.1, 0.5, Infinity];

const verdictOf = (canary: Partial<Side>, stable: Partial<Side> = {}, more: Partial<Criteria> = {}, custom: readonly CustomValue[] = []): string => {
  const { kind, reason } = judge({ canary: { ...healthy, ...canary }, stable: { ...healthy, ...stable }, custom }, { ...criteria, ...more });
  return `${kind}: ${reason}`;
};

describe('judge, errors', () => {
  it('passes a canary that is as good, with the figures', () => {
    expect(verdictOf({})).toBe('pass: canary 1000 requests, 0.2 % errors; stable 1000 requests, 0.2 % errors');
  });

  it('passes a canary that is better', () => {
    expect(verdictOf({ errors: 0 }, { errors: 300 })).toMatch(/^pass/);
  });

  it('fails one with many more errors, and says how sure it is', () => {
    expect(verdictOf({ errors: 50 })).toMatch(
      /^fail: 5 % of the canary's requests failed, 0\.2 % of the stable revision's \(50 of 1000, 2 of 1000, p = \d\.\de-\d+\)$/,
    );
  });

  it('passes a difference that is certain but smaller than the margin', () => {
    expect(verdictOf({ requests: 1e7, errors: 30_000 }, { requests: 1e7, errors: 20_000 })).toMatch(/^pass/);
  });

  it('passes a difference that is large but may be chance', () => {
    expect(verdictOf({ requests: 100, errors: 2 }, { requests: 100, errors: 0 })).toMatch(/^pass/);
  });

  it('waits while either side has too few requests, however bad they are', () => {
    expect(verdictOf({ requests: 99, errors: 99 })).toBe('wait: too few requests: canary 99, stable 1000, needed 100 each');
    expect(verdictOf({}, { requests: 0, errors: 0 })).toBe('wait: too few requests: canary 1000, stable 0, needed 100 each');
  });

  it('fails a share of errors that was forbidden whatever the stable revision does', () => {
    expect(verdictOf({ errors: 200 }, { errors: 200 }, { maxErrorRatio: 0.1 })).toBe("fail: 20 % of the canary's requests failed, more than 10 %");
    expect(verdictOf({ errors: 200 }, { requests: 0, errors: 0 }, { maxErrorRatio: 0.1 })).toMatch(/^fail/);
  });
});

describe('judge, latency', () => {
  const stable = { latency: { bounds, counts: [900, 95, 5, 0, 0] } };

  it('passes the same latencies', () => {
    expect(verdictOf(stable, stable)).toMatch(/^pass: .*p99 .* ms/);
  });

  it('fails a tail that three percent of requests are in while the rest is unchanged', () => {
    expect(verdictOf({ latency: { bounds, counts: [900, 70, 0, 0, 30] } }, stable)).toMatch(
      /^fail: p99 of the canary is 500 ms, of the stable revision \d+(\.\d+)? ms/,
    );
  });

  it('fails a shift to the end of the bucket that the p99 lies in', () => {
    const calm = { latency: { bounds, counts: [980, 20, 0, 0, 0] } };
    expect(verdictOf({ latency: { bounds, counts: [0, 1000, 0, 0, 0] } }, calm)).toMatch(/^fail: p99/);
  });

  it('passes a p99 that is higher by less than was allowed', () => {
    expect(verdictOf({ latency: { bounds, counts: [880, 110, 10, 0, 0] } }, stable, { maxP99Ratio: 3 })).toMatch(/^pass/);
  });

  it('waits when both sides have latencies in different buckets', () => {
    expect(verdictOf({ latency: { bounds: [0.2, Infinity], counts: [0, 1000] } }, stable)).toMatch(/^wait: .*different buckets/);
  });
});

describe('judge, queries of the user', () => {
  const custom: CustomValue = { name: 'accuracy', canary: 0.8, stable: 0.9 };

  it.each([
    [{ min: 0.85 }, 'fail: query accuracy is 0.8 for the canary, below 0.85'],
    [{ max: 0.75 }, 'fail: query accuracy is 0.8 for the canary, above 0.75'],
    [{ maxDrop: 0.05 }, "fail: query accuracy is 0.8 for the canary, more than 0.05 below the stable revision's 0.9"],
    [{ canary: 1, maxRise: 0.05 }, "fail: query accuracy is 1 for the canary, more than 0.05 above the stable revision's 0.9"],
    [{ canary: NaN, min: 0 }, 'wait: query accuracy has no value for the canary'],
    [{ stable: NaN, maxDrop: 1 }, 'wait: query accuracy has no value for the stable revision'],
  ])('%o: %s', (limits, expected) => {
    expect(verdictOf({}, {}, {}, [{ ...custom, ...limits }])).toBe(expected);
  });

  it('passes within all limits', () => {
    expect(verdictOf({}, {}, {}, [{ ...custom, min: 0.7, max: 0.9, maxDrop: 0.2 }])).toMatch(/^pass/);
  });

  it('fails by the second query when the first has no value yet', () => {
    expect(
      verdictOf({}, {}, {}, [
        { ...custom, canary: NaN, min: 0 },
        { ...custom, min: 0.85 },
      ]),
    ).toMatch(/^fail/);
  });
});

describe('lookSignificance', () => {
  it('keeps a rollout of any number of looks within what it was allowed', () => {
    expect(lookSignificance(0.05, 100) * 100 * 3).toBeCloseTo(0.05);
  });
});
