import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { runServe, type StartServer } from '../../../src/cli/serve.ts';
import { ServingError } from '../../../src/core/errors.ts';
import type { RunningServer } from '../../../src/server.ts';
import { FakeHost } from './fake-host.ts';

const ARGS = ['--model_dir=/mnt/models', '--grace_period_seconds=10'];

interface Resolvers<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (reason: Error) => void;
}

function withResolvers<T>(): Resolvers<T> {
  let resolve!: Resolvers<T>['resolve'];
  let reject!: Resolvers<T>['reject'];
  const promise = new Promise<T>((fulfil, refuse) => {
    [resolve, reject] = [fulfil, refuse];
  });
  return { promise, resolve, reject };
}

/** A server that starts and stops when the test says so. */
class FakeServer {
  readonly started = withResolvers<RunningServer>();
  readonly stopped = withResolvers<undefined>();
  readonly stopCalled = withResolvers<undefined>();
  readonly startCalled = withResolvers<Parameters<StartServer>>();

  readonly start: StartServer = (...args) => {
    this.startCalled.resolve(args);
    return this.started.promise;
  };

  isUp(): void {
    this.started.resolve({
      httpUrl: 'http://localhost:8080',
      stop: () => {
        this.stopCalled.resolve(undefined);
        return this.stopped.promise;
      },
    });
  }
}

async function untilServing(host: FakeHost): Promise<void> {
  await expect.poll(() => host.messages).toContain('Serving');
}

describe('runServe', () => {
  let dir: string;
  let host: FakeHost;
  let server: FakeServer;
  const terminationLog = (): string => readFileSync(host.terminationLogPath, 'utf8');

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'serve-'));
    const terminationLogPath = join(dir, 'termination-log');
    writeFileSync(terminationLogPath, '');
    host = new FakeHost({ terminationLogPath });
    server = new FakeServer();
  });

  afterEach(() => {
    rmSync(dir, { recursive: true });
    vi.useRealTimers();
  });

  it('refuses wrong options with all problems on stderr and in the termination log, code 2', async () => {
    expect(await runServe(['--modle_dir=/x', '--http_port=x'], host, server.start)).toBe(2);
    const problems = 'unknown flag --modle_dir, did you mean --model_dir?\n' + '--http_port: expected a whole number from 0 to 65535, got "x"\n';
    expect(host.err).toBe(`${problems}"kserve-node help serve" lists all options\n`);
    expect(terminationLog()).toBe(problems);
  });

  it('starts with the settings, warns about flags without meaning, and serves', async () => {
    const result = runServe([...ARGS, '--max_threads=4'], host, server.start);
    const [settings, deps] = await server.startCalled.promise;
    expect(settings.server).toMatchObject({ modelDir: '/mnt/models', gracePeriodMs: 10_000 });
    expect(deps.env).toBe(host.env);
    server.isUp();
    await untilServing(host);
    host.events.emit('SIGTERM');
    server.stopped.resolve(undefined);
    expect(await result).toBe(0);
    expect(host.records).toMatchObject([
      { level: 'warn', message: '--max_threads is ignored: gRPC needs no thread pool here' },
      { level: 'info', message: 'Serving', httpUrl: 'http://localhost:8080' },
      { level: 'info', signal: 'SIGTERM' },
    ]);
    expect(host.out).toBe('');
  });

  it.each(['SIGTERM', 'SIGINT'])('%s stops the server, waits for it and ends with code 0, leaving no listener', async (signal) => {
    const result = runServe(ARGS, host, server.start);
    server.isUp();
    await untilServing(host);
    host.events.emit(signal);
    await server.stopCalled.promise;
    const early = await Promise.race([result, Promise.resolve('still waiting')]);
    expect(early).toBe('still waiting');
    server.stopped.resolve(undefined);
    expect(await result).toBe(0);
    expect(host.exits).toEqual([]);
    expect(host.events.eventNames()).toEqual([]);
  });

  it('takes signals over only when its own listeners are on, so that none is lost in between', async () => {
    const result = runServe(ARGS, host, server.start);
    await server.startCalled.promise;
    expect(host.listenersAtRelease).toEqual(expect.arrayContaining(['SIGINT', 'SIGTERM']));
    host.events.emit('SIGTERM');
    server.started.reject(new ServingError('cancelled', 'Start given up'));
    expect(await result).toBe(0);
  });

  it.each([
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ])('a second signal, %s, ends the process at once with code %d', async (signal, code) => {
    void runServe(ARGS, host, server.start);
    server.isUp();
    await untilServing(host);
    host.events.emit('SIGTERM');
    await server.stopCalled.promise;
    vi.spyOn(performance, 'now').mockReturnValue(performance.now() + 1000);
    host.events.emit(signal);
    vi.restoreAllMocks();
    expect(host.exits).toEqual([code]);
  });

  it('takes one Ctrl-C that arrives twice, from the terminal and from npm, as one', async () => {
    const now = vi.spyOn(performance, 'now').mockReturnValue(1000);
    void runServe(ARGS, host, server.start);
    server.isUp();
    await untilServing(host);
    host.events.emit('SIGINT');
    host.events.emit('SIGINT');
    expect(host.exits).toEqual([]);
    now.mockReturnValue(2000);
    host.events.emit('SIGINT');
    vi.restoreAllMocks();
    expect(host.exits).toEqual([130]);
  });

  it('a signal before the start is over gives up the start and ends with code 0', async () => {
    const result = runServe(ARGS, host, server.start);
    const [, , signal] = await server.startCalled.promise;
    expect(signal.aborted).toBe(false);
    signal.addEventListener('abort', () => {
      server.started.reject(new ServingError('cancelled', 'Start given up'));
    });
    host.events.emit('SIGTERM');
    expect(await result).toBe(0);
    expect(host.messages).not.toContain('Serving');
    expect(terminationLog()).toBe('');
  });

  it('waits for a start that does not give up no longer than the grace period', async () => {
    vi.useFakeTimers();
    const result = runServe(ARGS, host, server.start);
    await server.startCalled.promise;
    host.events.emit('SIGTERM');
    await vi.advanceTimersByTimeAsync(31_000);
    expect(await result).toBe(1);
  });

  it('stops a server that came up after the signal', async () => {
    const result = runServe(ARGS, host, server.start);
    await server.startCalled.promise;
    host.events.emit('SIGTERM');
    server.isUp();
    await server.stopCalled.promise;
    server.stopped.resolve(undefined);
    expect(await result).toBe(0);
  });

  it.each(['uncaughtException', 'unhandledRejection'])('%s is logged once with its stack, stops the server and ends with code 1', async (event) => {
    const result = runServe(ARGS, host, server.start);
    server.isUp();
    await untilServing(host);
    host.events.emit(event, new TypeError('bug'));
    host.events.emit('uncaughtException', new TypeError('another'));
    server.stopped.resolve(undefined);
    expect(await result).toBe(1);
    const faults = host.records.filter(({ level }) => level === 'error');
    expect(faults).toMatchObject([{ message: 'Internal fault, stopping', error: { message: 'bug', stack: expect.any(String) as unknown } }]);
  });

  it('a fault while stopping makes the end a failure', async () => {
    const result = runServe(ARGS, host, server.start);
    server.isUp();
    await untilServing(host);
    host.events.emit('SIGTERM');
    await server.stopCalled.promise;
    host.events.emit('unhandledRejection', new Error('bug'));
    server.stopped.resolve(undefined);
    expect(await result).toBe(1);
  });

  it('a stop that hangs ends with code 1 soon after the grace period', async () => {
    const result = runServe(ARGS, host, server.start);
    server.isUp();
    await untilServing(host);
    vi.useFakeTimers();
    host.events.emit('SIGTERM');
    await server.stopCalled.promise;
    await vi.advanceTimersByTimeAsync(11_000);
    expect(await result).toBe(1);
    expect(host.messages.at(-1)).toBe('Could not stop within the grace period');
  });

  it('a stop that fails ends with code 1', async () => {
    const result = runServe(ARGS, host, server.start);
    server.isUp();
    await untilServing(host);
    host.events.emit('SIGTERM');
    server.stopped.reject(new Error('broken'));
    expect(await result).toBe(1);
  });

  it.each([
    [new ServingError('model_failed', 'Cannot load model /mnt/models: no model file'), 'Cannot load model /mnt/models: no model file\n', 2],
    [
      Object.assign(new Error('listen EADDRINUSE'), { code: 'EADDRINUSE', port: 8080 }),
      'Cannot listen on 0.0.0.0:8080: the port is in use, choose another --http_port\n',
      2,
    ],
    [
      Object.assign(new Error('listen EADDRINUSE'), { code: 'EADDRINUSE', port: 8081 }),
      'Cannot listen on 0.0.0.0:8081: the port is in use, choose another --grpc_port\n',
      2,
    ],
    [
      Object.assign(new Error('listen EACCES'), { code: 'EACCES', port: 8080 }),
      'Cannot listen on 0.0.0.0:8080: the port is not permitted to this user, choose another --http_port\n',
      2,
    ],
    [
      Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND', hostname: 'x' }),
      'Cannot listen on 0.0.0.0: no such host, choose another --host\n',
      2,
    ],
    [new Error('two\n  lines'), 'Cannot start: two; lines\n', 1],
  ])(
    'a start that fails with %s ends with the reason %j in one line, last on stderr and in the termination log, and code %d',
    async (error, line, code) => {
      server.started.reject(error);
      expect(await runServe(ARGS, host, server.start)).toBe(code);
      expect(host.err.endsWith(line)).toBe(true);
      expect(terminationLog()).toBe(line);
    },
  );

  it('logs the stack of a start that failed in a way nobody foresaw', async () => {
    server.started.reject(new TypeError('bug'));
    expect(await runServe(ARGS, host, server.start)).toBe(1);
    expect(host.records).toMatchObject([{ level: 'error', message: 'Cannot start', error: { stack: expect.any(String) as unknown } }]);
  });
});
