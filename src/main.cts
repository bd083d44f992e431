#!/usr/bin/env node
/**
 * The program: hands the process to the command line and ends with its exit code. Nothing else reads argv or env, or calls exit.
 *
 * CommonJS, because libuv reads UV_THREADPOOL_SIZE at the first use of its thread pool, and Node 20's loader of ES modules reads files on that
 * pool: in an ES module this line came too late and 4 threads ran where 16 were asked for; here 16 run. Models, files and DNS share the pool.
 */
import type * as Cli from './cli/index.ts' with { 'resolution-mode': 'import' };

const mainAt = performance.now();

const { availableParallelism } = process.getBuiltinModule('node:os');
process.env['UV_THREADPOOL_SIZE'] ??= String(Math.max(16, 2 * availableParallelism() + 4));
// The SDK's advice on versions of Node, on every start, is for who writes programs, not for who runs this one.
process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';

// V8 lets the old generation grow to several times what is alive before it collects. Serving promotes little, so that collecting sooner costs little.
process.getBuiltinModule('node:v8').setFlagsFromString('--heap-growing-percent=20');

// As process 1 of a container, signals that nobody listens to are lost. `serve` takes over when it is loaded.
const endBySignal = (_name: string, number: number): never => process.exit(128 + number);
const SIGNALS = ['SIGINT', 'SIGTERM'] as const;
for (const signal of SIGNALS) process.on(signal, endBySignal);

// A reader that goes away (`kserve-node inspect … | head`) is no reason to stop serving.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

interface CliModule {
  readonly importCli: () => Promise<typeof Cli>;
  /** To be called when what a start needs has run once. Never throws. */
  readonly keepCompiled: () => void;
}
const { importCli, keepCompiled } = process.getBuiltinModule('node:module').createRequire(__filename)('./cli-module.cjs') as CliModule;

importCli()
  .then(({ runCli }) =>
    runCli({
      mainAt,
      argv: process.argv.slice(2),
      env: process.env,
      stdout: process.stdout,
      stderr: process.stderr,
      events: process,
      releaseSignals: () => {
        for (const signal of SIGNALS) process.off(signal, endBySignal);
      },
      onExit: (run) => process.once('exit', run),
      exit: (code) => process.exit(code),
      keepCompiled,
      terminationLogPath: '/dev/termination-log',
    }),
  )
  .then(
    (code) => process.exit(code),
    (error: unknown) => {
      process.stderr.write(`Internal fault: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
      process.exit(1);
    },
  );
