import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Logger } from '../../../src/core/context.ts';
import { LineLog } from '../../../src/executor/line-log.ts';

interface Record {
  readonly level: 'info' | 'warn';
  readonly fields: object;
  readonly message: string;
}

function setUp(): { source: PassThrough; records: Record[]; lines: LineLog } {
  const records: Record[] = [];
  const log: Logger = {
    debug: () => undefined,
    info: (fields, message) => records.push({ level: 'info', fields, message }),
    warn: (fields, message) => records.push({ level: 'warn', fields, message }),
    error: () => undefined,
    child: () => log,
  };
  const source = new PassThrough();
  const lines = new LineLog(source, 'stderr', log);
  return { source, records, lines };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('LineLog', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['performance'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test('logs whole lines, also when they arrive in pieces, and the last one without its end', async () => {
    const { source, records, lines } = setUp();
    for (const piece of ['one\ntw', 'o\r\n\n', 'thr', 'ee']) source.write(piece);
    await turn();
    expect(records.map(({ message }) => message)).toEqual(['one', 'two']);
    expect(records[0]?.fields).toEqual({ stream: 'stderr' });
    source.end();
    await turn();
    expect(records.at(-1)?.message).toBe('three');
    expect(lines.last).toBe('three');
  });

  test('cuts a line that is too long and goes on with the next', async () => {
    const { source, records } = setUp();
    for (let i = 0; i < 100; i++) source.write('x'.repeat(1000));
    source.write('end\nnext\n');
    await turn();
    expect(records.map(({ message }) => message.length)).toEqual([4097, 4]);
  });

  test('keeps a character together that arrives in two pieces', async () => {
    const { source, records } = setUp();
    const bytes = Buffer.from('naïve\n');
    source.write(bytes.subarray(0, 3));
    source.write(bytes.subarray(3));
    await turn();
    expect(records.map(({ message }) => message)).toEqual(['naïve']);
  });

  test('keeps the line that says why V8 ended, not the native stack after it', async () => {
    const { source, lines } = setUp();
    source.write('warming up\nFATAL ERROR: Reached heap limit\n----- Native stack trace -----\n1: 0xf00\n');
    await turn();
    expect(lines.last).toBe('FATAL ERROR: Reached heap limit');
  });

  test('counts what comes too fast instead of logging it', async () => {
    const { source, records, lines } = setUp();
    source.write('line\n'.repeat(500));
    await turn();
    expect(records).toHaveLength(200);
    vi.advanceTimersByTime(1000);
    source.write('later\n');
    await turn();
    expect(records[200]).toMatchObject({ level: 'warn', fields: { lines: 300 } });
    expect(records[201]).toMatchObject({ level: 'info', message: 'later' });
    expect(lines.last).toBe('later');
  });
});
