import { describe, expect, it } from 'vitest';
import { invalidRequest, ServingError } from '../../../src/core/errors.ts';
import { createLogger, type LogDestination } from '../../../src/telemetry/logger.ts';

class Lines implements LogDestination {
  readonly isTTY: boolean;
  text = '';

  constructor(isTTY = false) {
    this.isTTY = isTTY;
  }

  write(text: string): void {
    this.text += text;
  }

  get records(): Record<string, unknown>[] {
    return this.text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }
}

function logTo(destination: LogDestination, options: Partial<Parameters<typeof createLogger>[0]> = {}) {
  return createLogger({ logLevel: 'info', logFormat: 'auto', ...options }, destination);
}

describe('createLogger', () => {
  it('writes one JSON object per line: level by name, ISO time, message and the fields, nothing else', () => {
    const lines = new Lines();
    logTo(lines).info({ model: 'digits', rows: 3 }, 'Model loaded');
    expect(lines.records).toEqual([
      {
        level: 'info',
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/) as unknown,
        model: 'digits',
        rows: 3,
        message: 'Model loaded',
      },
    ]);
  });

  it('has written the record when the call returns', () => {
    for (const logFormat of ['json', 'pretty'] as const) {
      const lines = new Lines();
      const log = logTo(lines, { logFormat });
      log.error({}, 'last words');
      expect(lines.text).toContain('last words');
    }
  });

  it('adds the fields of child loggers to each record', () => {
    const lines = new Lines();
    const log = logTo(lines).child({ model: 'digits' }).child({ request_id: 'r-1' });
    log.warn({ attempt: 2 }, 'Retrying');
    expect(lines.records[0]).toMatchObject({ level: 'warn', model: 'digits', request_id: 'r-1', attempt: 2 });
  });

  it.each([
    ['debug', ['debug', 'info', 'warn', 'error']],
    ['info', ['info', 'warn', 'error']],
    ['warn', ['warn', 'error']],
    ['error', ['error']],
    ['silent', []],
  ] as const)('at level %s writes %j', (logLevel, expected) => {
    const lines = new Lines();
    const log = logTo(lines, { logLevel });
    for (const level of ['debug', 'info', 'warn', 'error'] as const) log[level]({}, level);
    expect(lines.records.map(({ level }) => level)).toEqual(expected);
  });

  it('describes a fault of the server with its stack and its causes', () => {
    const lines = new Lines();
    const error = new ServingError('model_failed', 'Cannot run', {
      cause: new TypeError('inner', { cause: 'not an error' }),
      details: { file: 'x' },
    });
    logTo(lines).error({ error }, 'Request failed');
    expect(lines.records[0]?.['error']).toEqual({
      type: 'ServingError',
      message: 'Cannot run',
      reason: 'model_failed',
      details: { file: 'x' },
      stack: expect.stringMatching(/Cannot run\n +at [^]*caused by: TypeError: inner\n +at /) as unknown,
    });
  });

  it('describes a fault of the client without a stack', () => {
    const lines = new Lines();
    logTo(lines).warn({ error: invalidRequest('Bad') }, 'Request refused');
    expect(lines.records[0]?.['error']).toEqual({ type: 'ServingError', message: 'Bad', reason: 'invalid_request' });
  });

  it('describes any other thing that was thrown', () => {
    const lines = new Lines();
    const log = logTo(lines);
    log.error({ error: Object.assign(new RangeError('gone'), { code: 'EPIPE' }) }, 'x');
    log.error({ error: 'just text' }, 'x');
    log.error({ err: new Error('by its other name') }, 'x');
    expect(lines.records[0]?.['error']).toMatchObject({ type: 'RangeError', message: 'gone', code: 'EPIPE', stack: expect.any(String) as unknown });
    expect(lines.records[1]?.['error']).toBe('just text');
    expect(lines.records[2]?.['err']).toMatchObject({ message: 'by its other name' });
  });

  it('ends at a circle of causes', () => {
    const lines = new Lines();
    const error = new Error('round');
    error.cause = error;
    logTo(lines).error({ error }, 'x');
    expect(lines.records).toHaveLength(1);
  });

  it('writes for people on a terminal or when asked to, colours on a terminal only', () => {
    const escape = '\u001b[';
    const [terminal, asked, refused] = [new Lines(true), new Lines(), new Lines(true)];
    logTo(terminal).info({ model: 'digits' }, 'Model loaded');
    logTo(asked, { logFormat: 'pretty' }).info({ model: 'digits' }, 'Model loaded');
    logTo(refused, { logFormat: 'json' }).info({ model: 'digits' }, 'Model loaded');
    expect(terminal.text).toContain(escape);
    expect(asked.text).toMatch(/^\[\d\d:\d\d:\d\d\.\d{3}\] INFO: Model loaded \{"model":"digits"\}\n$/);
    expect(refused.records).toHaveLength(1);
  });

  it('writes 64-bit integers and text with line breaks on one line', () => {
    const lines = new Lines();
    logTo(lines).info({ size: 2n ** 60n, name: 'a\nb' }, 'x\ny');
    expect(lines.records[0]).toMatchObject({ size: 2 ** 60, name: 'a\nb', message: 'x\ny' });
  });
});
