import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SYSTEM_CLOCK } from '../../../src/scheduler/index.ts';

describe('SYSTEM_CLOCK', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('never fires before the delay is over, fractions included', () => {
    const fired = vi.fn();
    SYSTEM_CLOCK.setTimer(1.2, fired);
    vi.advanceTimersByTime(1);
    expect(fired).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(fired).toHaveBeenCalledOnce();
  });

  it('takes delays beyond what timers hold without firing at once', () => {
    const fired = vi.fn();
    SYSTEM_CLOCK.setTimer(1e15, fired);
    vi.advanceTimersByTime(1000);
    expect(fired).not.toHaveBeenCalled();
  });

  it('does not fire when cancelled', () => {
    const fired = vi.fn();
    const cancel = SYSTEM_CLOCK.setTimer(5, fired);
    cancel();
    vi.advanceTimersByTime(10);
    expect(fired).not.toHaveBeenCalled();
  });
});
