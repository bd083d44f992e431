import { describe, expect, it } from 'vitest';
import { readPlan, type BenchPlan } from '../../../src/bench/plan.ts';

const URL_FLAG = '--url=http://localhost:8080';

function plan(...args: readonly string[]): BenchPlan {
  const read = readPlan(args);
  if ('problems' in read) throw new Error(read.problems.join('\n'));
  return read;
}

function problems(...args: readonly string[]): readonly string[] {
  const read = readPlan(args);
  return 'problems' in read ? read.problems : [];
}

describe('readPlan', () => {
  it('sweeps 1 to 16 under way by default, in JSON', () => {
    expect(plan(URL_FLAG).steps).toEqual([1, 2, 4, 8, 16].map((concurrency) => ({ concurrency })));
    expect(plan(URL_FLAG).target.protocol).toBe('rest');
  });

  it('takes gRPC for a gRPC address', () => {
    expect(plan('--url=grpc://localhost:8081').target.protocol).toBe('grpc');
  });

  it('reads rates, shapes, headers and what goes to the server', () => {
    const read = plan('--model-dir', '/m', '--rate=0.5,200', '--shape=a:1,3;b:', '--headers={"Host":"x.y"}', '--', '--isolation=process');
    expect(read.steps).toEqual([{ rate: 0.5 }, { rate: 200 }]);
    expect([...read.target.shapes]).toEqual([
      ['a', [1, 3]],
      ['b', []],
    ]);
    expect(read.target.headers).toEqual({ host: 'x.y' });
    expect(read.serverArgs).toEqual(['--isolation=process']);
  });

  it.each<[readonly string[], string]>([
    [[], 'expected one of --url and --model_dir, got neither'],
    [[URL_FLAG, '--model_dir=/m'], 'expected one of --url and --model_dir, got both'],
    [['--url=localhost:8080'], '--url: expected http://, https:// or grpc:// and a host, got "localhost:8080"'],
    [['--url=file:///x'], '--url: expected http://, https:// or grpc:// and a host, got "file:///x"'],
    [['--url=grpc://x:1', '--protocol=rest'], '--protocol: expected grpc or grpc-typed for grpc://x:1, got rest'],
    [[URL_FLAG, '--concurrency=0'], '--concurrency: expected whole numbers from 1 to 10000, such as 1,2,4, got "0"'],
    [[URL_FLAG, '--concurrency=1.5'], '--concurrency: expected whole numbers from 1 to 10000, such as 1,2,4, got "1.5"'],
    [[URL_FLAG, '--rate=-5'], '--rate: expected numbers above 0 and up to 1000000, such as 1,2,4, got "-5"'],
    [[URL_FLAG, '--rate=fast'], '--rate: expected numbers above 0 and up to 1000000, such as 1,2,4, got "fast"'],
    [[URL_FLAG, '--rate=1e9'], '--rate: expected numbers above 0 and up to 1000000, such as 1,2,4, got "1e9"'],
    [[URL_FLAG, '--rate=5', '--concurrency=2'], '--rate: expected no --concurrency beside it, got both: a loop is open or closed'],
    [[URL_FLAG, '--max_error_ratio=2'], '--max_error_ratio: expected a number from 0 to 1, got "2"'],
    [[URL_FLAG, '--shape=a:1,-1'], '--shape: expected NAME:DIM,DIM,… such as image:1,3,224,224, got "a:1,-1"'],
    [[URL_FLAG, '--headers=[1]'], '--headers: expected a JSON object of texts without line breaks'],
    [[URL_FLAG, '--headers={"a":"x\\r\\ny"}'], '--headers: expected a JSON object of texts without line breaks'],
    [[URL_FLAG, '--protocol=http'], '--protocol=http: expected --url and --request with it'],
    [
      [URL_FLAG, '--protocol=grpc', '--request=/r'],
      '--request: expected --protocol rest, v1 or http beside it, got grpc: its messages are made from the metadata',
    ],
    [[URL_FLAG, '--request=/r', '--shape=a:1'], '--shape: expected no --request beside it, got both'],
    [[URL_FLAG, '--', '--isolation=inline'], 'what follows -- goes to a server of ours: give --model_dir with it'],
    [[URL_FLAG, '--duration=0'], '--duration: expected seconds from 0.1 to 86400, got "0"'],
    [[URL_FLAG, '--concurency=2'], 'unknown flag --concurency, did you mean --concurrency?'],
  ])('%j is refused in one line', (args, problem) => {
    expect(problems(...args)).toEqual([problem]);
  });

  it('tells all problems at once', () => {
    expect(problems(URL_FLAG, '--rate=0', '--max_error_ratio=x')).toHaveLength(2);
  });
});
