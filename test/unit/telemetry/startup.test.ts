import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Startup } from '../../../src/telemetry/index.ts';

describe('Startup', () => {
  it('keeps the first time of each point and lists them in the order of a start', () => {
    const startup = new Startup();
    startup.reached('answer', 90);
    startup.reached('main', 10);
    startup.reached('answer', 500);
    expect(startup.entries()).toEqual([
      ['main', 10],
      ['answer', 90],
    ]);
    expect(startup.render()).toMatch(/main +10 ms +\+10 [^\n]*\n +answer +90 ms +\+80 /);
  });

  it('says in the report what was noted of a point', () => {
    const startup = new Startup();
    startup.note('models', 'one of them from a cache');
    startup.reached('models', 20);
    expect(startup.render()).toContain('all models are loaded (one of them from a cache)\n');
  });

  it('tells an observer what was passed before it came and what comes, each once', () => {
    const startup = new Startup();
    const seen: unknown[] = [];
    startup.reached('main', 1);
    startup.observe((phase, at) => seen.push([phase, at]));
    startup.reached('listening', 2);
    startup.reached('listening', 3);
    expect(seen).toEqual([
      ['main', 1],
      ['listening', 2],
    ]);
  });

  describe('what waits for its end', () => {
    beforeEach(() => {
      vi.useFakeTimers();
    });
    afterEach(() => {
      vi.useRealTimers();
    });

    const ask = (startup: Startup): string[] => {
      const seen: string[] = [];
      for (const name of ['first', 'second']) void startup.quiet().then(() => seen.push(name));
      void startup.answered().then(() => seen.push('answered'));
      return seen;
    };

    it('follows the first answer, when that is written, in the order of asking', async () => {
      const startup = new Startup();
      const seen = ask(startup);
      startup.reached('listening');
      startup.reached('answer');
      await Promise.resolve();
      expect(seen).toEqual([]);
      await vi.advanceTimersByTimeAsync(2);
      expect(seen).toEqual(['first', 'second', 'answered']);
    });

    it('follows each in a task of its own', async () => {
      const startup = new Startup();
      ask(startup);
      startup.reached('answer');
      expect(vi.getTimerCount()).toBe(3);
    });

    it('is quiet 100 ms after the ports are open when nobody asks, without an answer', async () => {
      const startup = new Startup();
      const seen = ask(startup);
      startup.reached('listening');
      await vi.advanceTimersByTimeAsync(99);
      expect(seen).toEqual([]);
      await vi.advanceTimersByTimeAsync(1);
      expect(seen).toEqual(['first', 'second']);
      startup.reached('answer');
      await vi.advanceTimersByTimeAsync(2);
      expect(seen).toEqual(['first', 'second', 'answered']);
    });

    it('holds for one who asks late, too', async () => {
      const startup = new Startup();
      startup.reached('answer');
      const seen = ask(startup);
      await vi.advanceTimersByTimeAsync(2);
      expect(seen).toEqual(['first', 'second', 'answered']);
    });
  });
});
