import { describe, expect, it } from 'vitest';
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
});
