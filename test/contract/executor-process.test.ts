import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { Logger } from '../../src/core/context.ts';
import type { Executor } from '../../src/executor/index.ts';
import { modelDir, readVectors } from '../support/vectors.ts';
import { batchOf, memberOf, untilCapacity } from './describe-executor.ts';
import { CHILD_ENTRY, FOREIGN_CHILD_ENTRY, PARENT_ENTRY, SILENT_CHILD_ENTRY } from './executor-children/entries.ts';
import { create, forever, input, isAlive, load, one, pidOf, specOf } from './executor-children/fake-child.ts';

const openFiles = (): number => (existsSync('/proc/self/fd') ? readdirSync('/proc/self/fd').length : 0);

interface LogRecord {
  readonly level: string;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
}

/** A log to look into, and to wait on. */
function recordLog(): { log: Logger; until: (isWanted: (record: LogRecord) => boolean) => Promise<LogRecord> } {
  const records: LogRecord[] = [];
  let wake: () => void = () => undefined;
  const logger = (bound: object): Logger => {
    const write =
      (level: string) =>
      (fields: object, message: string): void => {
        records.push({ level, fields: { ...bound, ...fields }, message });
        wake();
      };
    return {
      debug: write('debug'),
      info: write('info'),
      warn: write('warn'),
      error: write('error'),
      child: (fields) => logger({ ...bound, ...fields }),
    };
  };
  const until = async (isWanted: (record: LogRecord) => boolean): Promise<LogRecord> => {
    for (;;) {
      const found = records.find(isWanted);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  return { log: logger({}), until };
}

describe('a child that dies', () => {
  test('by kill -9 during runs: they settle with executor_lost, the model is back soon and answers', async () => {
    const restarted: number[] = [];
    const lost: string[] = [];
    const executor = create({}, { observer: { lost: (why) => lost.push(why), restarted: (downMs) => restarted.push(downMs) } });
    const [waiting, echo] = [await load(executor, 'waits'), await load(executor, 'echo')];
    const capacities: number[] = [];
    echo.onCapacityChange(() => capacities.push(echo.capacity));
    const running = [waiting.run(one), waiting.run(batchOf(memberOf([input]), memberOf([input], AbortSignal.abort())))];
    await echo.run(one);
    const killed = performance.now();
    process.kill(pidOf(echo), 'SIGKILL');
    const [first, second] = await Promise.all(running);
    expect(first?.responses).toMatchObject([
      {
        ok: false,
        error: {
          reason: 'executor_lost',
          message: "The model's process was lost while it had the request: it was killed by SIGKILL, probably out of memory",
          details: { exitSignal: 'SIGKILL', pid: pidOf(echo) },
        },
      },
    ]);
    expect(second?.responses).toMatchObject([{ error: { reason: 'executor_lost' } }, { error: { reason: 'cancelled' } }]);
    expect((await echo.run(one)).responses).toMatchObject([{ error: { reason: 'executor_lost' } }]);
    expect(executor.state).toBe('restarting');
    await untilCapacity(waiting, 2);
    await untilCapacity(echo, 2);
    expect(performance.now() - killed).toBeLessThan(15_000);
    expect((await echo.run(one)).responses).toMatchObject([{ ok: true, value: { outputs: [input] } }]);
    expect(executor.state).toBe('ready');
    expect(capacities).toEqual([0]);
    expect(lost).toEqual(['was killed by SIGKILL, probably out of memory']);
    expect(restarted).toHaveLength(1);
  });

  test('is warmed up again before it takes batches; when that fails it serves all the same and a line says so', async () => {
    const { log, until } = recordLog();
    const echo = await load(create({}, { log }), 'echo');
    const seen: unknown[] = [];
    echo.onReplacement?.(async (replacement) => {
      seen.push([echo.capacity, replacement.capacity, (await replacement.run(one)).responses[0]?.ok]);
      throw new Error('no such sample');
    });
    process.kill(pidOf(echo), 'SIGKILL');
    await until(({ message }) => message === 'A model that is back was not warmed up');
    await untilCapacity(echo, 2);
    expect(seen).toEqual([[0, 2, true]]);
  });

  test('by its own exit: the code is told to the client, the last line on standard error to the log alone', async () => {
    const model = await load(create(), 'exits-on-run');
    const { responses } = await model.run(one);
    expect(responses).toMatchObject([{ error: { reason: 'executor_lost', details: { exitCode: 7, lastStderrLine: 'out of luck' } } }]);
    expect(JSON.stringify(responses[0]?.ok === false && responses[0].error.message)).toMatch(/exited with code 7"$/);
    await untilCapacity(model, 2);
  });

  test('by writing what is no frame: it is killed and replaced, the parent goes on', async () => {
    const model = await load(create(), 'writes-garbage');
    expect((await model.run(one)).responses).toMatchObject([
      { error: { reason: 'executor_lost', message: expect.stringContaining('Cannot read frame') as string } },
    ]);
    await untilCapacity(model, 2);
  });

  test('by answering fewer requests than were asked: the same', async () => {
    const model = await load(create(), 'answers-too-few');
    expect((await model.run(one)).responses).toMatchObject([
      { error: { reason: 'executor_lost', message: expect.stringContaining('0 answers for 1 requests') as string } },
    ]);
    await untilCapacity(model, 2);
  });

  test('again and again: it is brought back ever more rarely, and counts as failed in the end', async () => {
    const executor = create({ restart: { delaysMs: [0, 1, 1, 1, 1, 60_000] } });
    const model = await load(executor, 'exits-on-run');
    for (let i = 0; i < 5; i++) {
      await untilCapacity(model, 2);
      await model.run(one);
    }
    await untilCapacity(model, 2);
    await model.run(one);
    expect(executor.state).toBe('failed');
    const start = performance.now();
    await executor.stop(1000);
    expect(performance.now() - start).toBeLessThan(10_000);
  });

  test('while another model loads: that load fails, the loaded one comes back', async () => {
    const executor = create();
    const echo = await load(executor, 'echo');
    await expect(load(executor, 'exits-on-load')).rejects.toMatchObject({
      reason: 'model_failed',
      message: 'Cannot load model "exits-on-load": its process exited with code 3',
    });
    await untilCapacity(echo, 2);
    expect((await echo.run(one)).responses).toMatchObject([{ ok: true }]);
  });

  test('while its only model loads: it is not tried again by itself', async () => {
    const executor = create();
    await expect(load(executor, 'is-killed-on-load')).rejects.toMatchObject({
      reason: 'model_failed',
      message: expect.stringContaining('probably out of memory') as string,
    });
    expect(executor.state).toBe('idle');
    expect((await load(executor, 'echo')).capacity).toBe(2);
  });
});

describe('a run that is cancelled', () => {
  test('is told so, and its child lives on', async () => {
    const model = await load(create(), 'waits');
    const controller = new AbortController();
    const running = model.run(batchOf(memberOf([input], controller.signal)));
    controller.abort();
    expect((await running).responses).toMatchObject([{ error: { reason: 'cancelled', message: 'Cancelled while running' } }]);
    expect(isAlive(pidOf(model))).toBe(true);
    expect(model.capacity).toBe(2);
  });

  test.each(['ignores-cancel', 'blocks'])('and %s: its child is replaced after the stop timeout, at once and however often', async (behaviour) => {
    const executor = create({ restart: { delaysMs: [60_000] } });
    const model = await load(executor, behaviour);
    const { capacity } = model;
    for (let i = 0; i < 2; i++) {
      const leaving = new AbortController();
      const running = model.run(batchOf(memberOf([input], leaving.signal), memberOf([input], leaving.signal)));
      leaving.abort();
      expect((await running).responses).toMatchObject([{ error: { reason: 'cancelled' } }, { error: { reason: 'cancelled' } }]);
      await untilCapacity(model, capacity);
    }
    expect(isAlive(pidOf(model))).toBe(false);
  });

  test('in part goes on for the members that stay', async () => {
    const executor = create();
    const model = await load(executor, 'ignores-cancel');
    const [leaving, staying] = [new AbortController(), new AbortController()];
    const running = model.run(batchOf(memberOf([input], leaving.signal), memberOf([input], staying.signal)));
    leaving.abort();
    const other = await load(executor, 'echo');
    expect((await other.run(one)).responses).toMatchObject([{ ok: true }]);
    expect(isAlive(pidOf(model))).toBe(true);
    staying.abort();
    await running;
  });
});

describe('a start', () => {
  test('without a hello ends in time, and the load with it', async () => {
    const executor = create({ childEntry: SILENT_CHILD_ENTRY, restart: { helloTimeoutMs: 300 } });
    await expect(load(executor, 'echo')).rejects.toMatchObject({
      reason: 'model_failed',
      message: expect.stringContaining('did not start within 300 ms') as string,
    });
    expect(executor.state).toBe('idle');
  });

  test('of a child of another build is refused with what to do', async () => {
    const executor = create({ childEntry: FOREIGN_CHILD_ENTRY });
    await expect(load(executor, 'echo')).rejects.toMatchObject({
      reason: 'model_failed',
      message: expect.stringContaining('restart the server') as string,
    });
  });

  test('of an entry that is not there throws and names it', () => {
    expect(() => create({ childEntry: '/nowhere/child.js' })).toThrow(/\/nowhere/);
  });

  test('that cannot run tells why the load fails', async () => {
    const executor = create({ execArgv: ['--no-such-option'] });
    await expect(load(executor, 'echo')).rejects.toMatchObject({
      reason: 'model_failed',
      message: expect.stringContaining('exited with code 9') as string,
    });
  });

  test('that takes longer than the load may is killed', async () => {
    const executor = create();
    const loading = executor.load(specOf('hangs-on-load'), 1, AbortSignal.timeout(300));
    await expect(loading).rejects.toMatchObject({ reason: 'deadline_exceeded' });
    expect((await load(executor, 'echo')).capacity).toBe(2);
  });

  test('while stop comes rejects with cancelled', async () => {
    const executor = create();
    const loading = load(executor, 'hangs-on-load');
    const refused = expect(loading).rejects.toMatchObject({ reason: 'cancelled', message: expect.stringContaining('stopped') as string });
    await executor.stop(0);
    await refused;
  });
});

describe('a child', () => {
  test('sees a filtered environment', async () => {
    const model = await load(
      create({ env: { PATH: process.env['PATH'], AWS_SECRET_ACCESS_KEY: 'secret', LC_ALL: 'C', OMP_NUM_THREADS: '1' } }),
      'echo',
    );
    expect(model.properties['environment']).toBe('LC_ALL OMP_NUM_THREADS PATH');
  });

  test('has its log records and its standard output in the log of the parent', async () => {
    const { log, until } = recordLog();
    const model = await load(create({}, { log }), 'echo');
    expect(await until(({ message }) => message === 'Loaded')).toMatchObject({ level: 'info', fields: { model: 'echo' } });
    expect(await until(({ message }) => message === 'stdout of echo')).toMatchObject({
      level: 'info',
      fields: { stream: 'stdout', pid: pidOf(model) },
    });
  });

  test('outlives SIGINT and SIGTERM, which a terminal or a container sends to the whole group', async () => {
    const model = await load(create(), 'echo');
    process.kill(pidOf(model), 'SIGINT');
    process.kill(pidOf(model), 'SIGTERM');
    expect((await model.run(one)).responses).toMatchObject([{ ok: true }]);
    expect(isAlive(pidOf(model))).toBe(true);
  });

  test('of the program itself outlives them too, and reports what nobody caught before it exits', async () => {
    const { log, until } = recordLog();
    const preload = "process.on('SIGUSR2', () => { throw new TypeError('two\\nlines'); }); console.log('up');";
    const execArgv = ['--import', `data:text/javascript,${encodeURIComponent(preload)}`];
    const executor = create({ childEntry: CHILD_ENTRY, execArgv, restart: { delaysMs: [60_000] } }, { log });
    const model = await executor.load({ ...specOf('digits'), source: { path: modelDir('digits-mlp') } }, 1, forever());
    const pid = Number((await until(({ message }) => message === 'up')).fields['pid']);
    process.kill(pid, 'SIGINT');
    process.kill(pid, 'SIGTERM');
    const { inputs } = readVectors('digits-mlp')[0]!;
    expect((await model.run(batchOf(memberOf(inputs)))).responses).toMatchObject([{ ok: true }]);
    process.kill(pid, 'SIGUSR2');
    expect(await until(({ message }) => message === 'A model process was lost: it exited with code 1')).toMatchObject({
      level: 'error',
      fields: { lastStderrLine: 'uncaughtException: TypeError: two lines' },
    });
  });

  test('ends when its parent is killed', async () => {
    const parent = spawn(process.execPath, [fileURLToPath(PARENT_ENTRY)], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = (await once(createInterface({ input: parent.stdout }), 'line')) as [string];
    const pid = Number(line);
    expect(isAlive(pid)).toBe(true);
    parent.kill('SIGKILL');
    await once(parent, 'exit');
    await expect.poll(() => isAlive(pid)).toBe(false);
  });

  test('ends with its last model: 100 loads and unloads leave neither processes nor open files', { timeout: 180_000 }, async () => {
    const pids = new Set<number>();
    const cycle = async (executor: Executor): Promise<void> => {
      const model = await load(executor, 'echo');
      pids.add(pidOf(model));
      expect((await model.run(one)).responses).toMatchObject([{ ok: true }]);
      await model.unload();
      expect(executor.state).toBe('idle');
    };
    const lanes = [create(), create(), create(), create()];
    const cycles = async (count: number): Promise<void> => {
      await Promise.all(
        lanes.map(async (executor) => {
          for (let i = 0; i < count; i++) await cycle(executor);
        }),
      );
    };
    await cycles(1);
    const before = openFiles();
    await cycles(24);
    expect(pids.size).toBe(100);
    expect([...pids].filter(isAlive)).toEqual([]);
    expect(openFiles()).toBeLessThanOrEqual(before);
  });

  test('hosts several models and ends with the last of them only', async () => {
    const executor = create();
    const [one_, two] = [await load(executor, 'echo'), await load(executor, 'waits')];
    expect(pidOf(one_)).toBe(pidOf(two));
    await one_.unload();
    expect(isAlive(pidOf(two))).toBe(true);
    await two.unload();
    expect(isAlive(pidOf(two))).toBe(false);
  });
});

test('tensors above the size that is copied, of several megabytes and many at once, cross unchanged', async () => {
  const model = await load(create(), 'echo', 4);
  const sizes = [0, 1, 4095, 4096, 4097, 150_528, 2_000_000];
  await Promise.all(
    sizes.flatMap((size) =>
      [1, 2, 3].map(async (seed) => {
        const data = new Float32Array(size).map((_, i) => i * seed);
        const { responses } = await model.run(batchOf(memberOf([{ name: 'x', datatype: 'FP32', shape: [size], data }, input])));
        if (!responses[0]?.ok) throw new Error('Expected an answer');
        const [back, small] = responses[0].value.outputs;
        expect(
          Buffer.compare(
            Buffer.from((back?.data as Float32Array).buffer, (back?.data as Float32Array).byteOffset, size * 4),
            Buffer.from(data.buffer),
          ),
        ).toBe(0);
        expect(small?.data).toEqual(input.data);
      }),
    ),
  );
});
