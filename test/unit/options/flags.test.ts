import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readFlags, type FlagTarget } from '../../../src/options/flags.ts';

const SPELLINGS = new Map<string, FlagTarget>([
  ['http_port', { name: 'http_port', isBoolean: false }],
  ['model_name', { name: 'model_name', isBoolean: false }],
  ['timeout_keep_alive', { name: 'timeout_keep_alive', isBoolean: false }],
  ['enable_grpc', { name: 'enable_grpc', isBoolean: true }],
  ['request_timeout_seconds', { name: 'request_timeout_seconds', isBoolean: false }],
  ['request_timeout', { name: 'request_timeout_seconds', isBoolean: false }],
]);

function read(...argv: string[]): { values: Record<string, unknown>; problems: readonly string[] } {
  const { given, problems } = readFlags(argv, SPELLINGS);
  return { values: Object.fromEntries([...given].map(([name, { value }]) => [name, value])), problems };
}

describe('readFlags', () => {
  it.each([['--http_port=9000'], ['--http-port=9000'], ['--http_port', '9000'], ['--http-port', '9000']])('reads %s %s', (...argv) => {
    expect(read(...argv)).toEqual({ values: { http_port: '9000' }, problems: [] });
  });

  it('reads any mix of - and _ inside a name', () => {
    const mixed = fc.array(fc.constantFrom('-', '_'), { minLength: 2, maxLength: 2 });
    fc.assert(
      fc.property(mixed, fc.boolean(), ([a = '', b = ''], isJoined) => {
        const flag = `--timeout${a}keep${b}alive`;
        expect(read(...(isJoined ? [`${flag}=65`] : [flag, '65'])).values).toEqual({ timeout_keep_alive: '65' });
      }),
    );
  });

  it('keeps values as they are, with = and - and _ in them', () => {
    expect(read('--model_name=a-b_c=d').values).toEqual({ model_name: 'a-b_c=d' });
    expect(read('--model-name', 'a-b_c=d').values).toEqual({ model_name: 'a-b_c=d' });
    expect(read('--model_name=--x').values).toEqual({ model_name: '--x' });
    expect(read('--http_port', '-5').values).toEqual({ http_port: '-5' });
  });

  it.each([
    [['--enable_grpc'], true],
    [['--enable-grpc'], true],
    [['--enable_grpc=false'], 'false'],
    [['--enable_grpc', 'off'], 'off'],
    [['--enable_grpc', 'maybe'], 'maybe'],
    [['--enable_grpc='], ''],
  ])('reads the boolean flag %j as %j', (argv, expected) => {
    expect(read(...argv)).toEqual({ values: { enable_grpc: expected }, problems: [] });
  });

  it('a bare boolean flag takes no following flag for its value', () => {
    expect(read('--enable_grpc', '--http_port', '1')).toEqual({ values: { enable_grpc: true, http_port: '1' }, problems: [] });
  });

  it('a flag without its value gets an empty one and leaves the next flag alone', () => {
    expect(read('--model_name', '--http-port=1')).toEqual({ values: { model_name: '', http_port: '1' }, problems: [] });
    expect(read('--http_port')).toEqual({ values: { http_port: '' }, problems: [] });
  });

  it('remembers the spelling that was given, for messages', () => {
    expect(readFlags(['--request-timeout=5'], SPELLINGS).given.get('request_timeout_seconds')).toEqual({ value: '5', origin: '--request_timeout' });
  });

  it('refuses what is given twice, in whatever spellings, and keeps the first', () => {
    expect(read('--http_port=1', '--http-port', '2', '--request_timeout=1', '--request_timeout_seconds=2')).toEqual({
      values: { http_port: '1', request_timeout_seconds: '1' },
      problems: ['--http_port: given more than once', '--request_timeout_seconds: given more than once'],
    });
  });

  it.each([
    ['--htp_port=1', 'unknown flag --htp_port, did you mean --http_port?'],
    ['--model', 'unknown flag --model, did you mean --model_name?'],
    ['--enable-grcp', 'unknown flag --enable_grcp, did you mean --enable_grpc?'],
    ['--no_such_thing_at_all', 'unknown flag --no_such_thing_at_all'],
    ['-model_name=digits', 'unknown flag -model_name, did you mean --model_name?'],
    ['-p', 'unknown flag -p'],
    ['-abc', 'unknown flag -abc'],
    ['--__proto__=1', 'unknown flag --__proto__'],
    ['--constructor', 'unknown flag --constructor'],
    ['--=x', 'unknown flag --'],
  ])('refuses %s with: %s', (argument, problem) => {
    expect(read(argument)).toEqual({ values: {}, problems: [problem] });
  });

  it('never repeats the value of a flag that is not known', () => {
    const { problems } = read('--api_tokn=s3cret', '--api_tokn', 's3cret', '-t', 's3cret');
    expect(problems).toHaveLength(3);
    expect(problems.join()).not.toContain('s3cret');
  });

  it.each([[['digits']], [['--', '--http_port=1']], [['--enable_grpc', 'true', 'digits']], [['--http_port=1', '2']]])(
    'refuses positional arguments: %j',
    (argv) => {
      expect(read(...argv).problems).toEqual([expect.stringMatching(/^unexpected argument ".*", options are written --name=value$/)]);
    },
  );

  it('reads any list of arguments without throwing, each problem on one line', () => {
    const argument = fc.oneof(fc.string(), fc.constantFrom('--http_port', '--enable_grpc', '--', '-', '=', '--http_port=1', '-x'));
    fc.assert(
      fc.property(fc.array(argument), (argv) => {
        for (const problem of read(...argv).problems) expect(problem).not.toMatch(/[\n\r]/);
      }),
    );
  });
});
