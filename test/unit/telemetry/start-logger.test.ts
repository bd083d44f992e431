import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createStartLogger } from '../../../src/telemetry/index.ts';

describe('createStartLogger', () => {
  let text: string;
  const destination = { write: (line: string) => (text += line) };
  const records = (): Record<string, unknown>[] =>
    text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  const start = (logLevel: 'info' | 'silent' = 'info') => createStartLogger({ logLevel, logFormat: 'json' }, destination);
  beforeEach(() => {
    text = '';
    vi.useFakeTimers({ now: 1_000_000 });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('writes what it held in order, each record with the time at which it was said and the fields of its logger', () => {
    const { log, complete } = start();
    const child = log.child({ model: 'm' }).child({ pid: 7 });
    log.info({}, 'first');
    vi.setSystemTime(1_000_500);
    child.warn({ n: 1 }, 'second');
    expect(text).toBe('');
    complete();
    child.info({}, 'third');
    expect(records()).toMatchObject([
      { level: 'info', message: 'first', time: new Date(1_000_000).toISOString() },
      { level: 'warn', message: 'second', time: new Date(1_000_500).toISOString(), model: 'm', pid: 7, n: 1 },
      { level: 'info', message: 'third', model: 'm', pid: 7 },
    ]);
  });

  it('lets no error wait, nor what was said before it', () => {
    const { log } = start();
    log.info({}, 'first');
    log.error({}, 'broken');
    expect(records()).toMatchObject([{ message: 'first' }, { message: 'broken' }]);
  });

  it('writes within a second, and when the process ends', () => {
    start().log.info({}, 'slow start');
    vi.advanceTimersByTime(1000);
    expect(records()).toMatchObject([{ message: 'slow start' }]);
    const { log, flush } = start();
    log.info({}, 'last words');
    flush();
    expect(records()).toMatchObject([{ message: 'slow start' }, { message: 'last words' }]);
  });

  it('holds a bounded number of records', () => {
    const { log } = start();
    for (let i = 0; i < 500; i++) log.info({ i }, 'again');
    expect(records()).toHaveLength(500);
  });

  it('drops records below the level, held or not', () => {
    const { log, complete } = start();
    log.debug({}, 'early');
    complete();
    log.debug({}, 'late');
    const silent = start('silent');
    silent.log.error({}, 'broken');
    silent.complete();
    expect(text).toBe('');
  });
});
