import { readFileSync } from 'node:fs';
import type { Logger } from '../core/context.ts';
import { isServingError, ServingError } from '../core/errors.ts';
import type { RunningServer, ServerDependencies } from '../server.ts';
import type { HeadStart } from '../head-start.ts';
import { loadSettings, type Settings } from '../settings.ts';
import { createStartLogger, gatherLines, Startup, type LogDestination } from '../telemetry/index.ts';
import { renderExample } from './example.ts';
import { EXIT_FAILED, EXIT_USAGE, oneLine, type Host } from './host.ts';
import { supervise, type Supervision } from './supervision.ts';
import { writeTerminationLog } from './termination-log.ts';

export type StartServer = (settings: Settings, deps: ServerDependencies, signal: AbortSignal) => Promise<RunningServer>;

/** `serve`: starts the server and returns, with the exit code, when a signal or a fault has ended it. */
export async function runServe(args: readonly string[], host: Host, start?: StartServer): Promise<number> {
  const startup = new Startup();
  startup.reached('main', host.mainAt);
  const loaded = loadSettings({ argv: args, env: host.env, readFile: (path) => readFileSync(path, 'utf8') });
  if (!loaded.ok) return refuseOptions(loaded.problems, host);
  const { settings, warnings } = loaded;
  let flushLines = (): void => undefined;
  const stderr = gatherLines(host.stderr, (flush) => (flushLines = flush));
  startup.reached('options');
  const { log, complete, flush } = createStartLogger(settings.telemetry, stderr);
  host.onExit(() => {
    flush();
    flushLines();
  });
  const supervision = supervise(host, log);
  try {
    for (const warning of warnings) log.warn({}, warning);
    const headStart = start === undefined ? (await import('../head-start.ts')).takeHeadStart(settings, host.env) : {};
    const serving = { settings, host, stderr, log, startup, complete, headStart };
    return await startAndWait(serving, supervision, start ?? (await import('../server.ts')).startServer);
  } finally {
    supervision.release();
  }
}

function refuseOptions(problems: readonly string[], host: Host): number {
  const text = problems.map((problem) => `${problem}\n`).join('');
  host.stderr.write(`${text}"kserve-node help serve" lists all options\n`);
  writeTerminationLog(text, host.terminationLogPath);
  return EXIT_USAGE;
}

/** What a stop may take beyond the grace period, within which it should be over. */
const STOP_MARGIN_MS = 1000;

interface Serving {
  readonly settings: Settings;
  readonly host: Host;
  /** Where `log` writes; lines that are to stand behind its records go there too. */
  readonly stderr: LogDestination;
  readonly log: Logger;
  readonly startup: Startup;
  readonly headStart: HeadStart;
  /** Of the log. */
  readonly complete: () => void;
}

async function startAndWait(serving: Serving, supervision: Supervision, start: StartServer): Promise<number> {
  const { settings, host, log, startup, headStart } = serving;
  startup.reached('modules');
  finishLater(serving);
  const giveUp = new AbortController();
  const starting = start(settings, { log, env: host.env, startup, headStart }, giveUp.signal);
  let server: RunningServer | undefined;
  try {
    server = await Promise.race([starting, supervision.ended]);
  } catch (error) {
    return reportStartFailure(error, serving);
  }
  if (server !== undefined) {
    log.info({ httpUrl: server.httpUrl, grpcUrl: server.grpcUrl }, 'Serving');
    if (settings.server.printExample || host.stdout.isTTY === true) await printExample(server, host, log);
    await supervision.ended;
  }
  giveUp.abort(new ServingError('cancelled', 'Told to stop while starting'));
  // A start that had opened a port already comes to its end and is stopped like any other: requests may be under way.
  const stopping = starting.then(
    (started) => started.stop(),
    () => undefined,
  );
  const outcome = await settlesWithin(stopping, settings.server.gracePeriodMs + STOP_MARGIN_MS);
  if (outcome === 'done') return supervision.code();
  log.error(outcome === 'late' ? {} : { error: outcome.error }, 'Could not stop within the grace period');
  return EXIT_FAILED;
}

/** What the first answer does not wait for. */
function finishLater({ settings, host, startup, complete }: Serving): void {
  void startup.quiet().then(complete);
  void startup.answered().then(() => {
    host.keepCompiled();
    if (settings.server.startupReport) host.stdout.write(startup.render());
  });
}

async function settlesWithin(work: Promise<unknown>, timeoutMs: number): Promise<'done' | 'late' | { readonly error: unknown }> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(resolve, timeoutMs, 'late');
  });
  const settled = work.then(
    () => 'done' as const,
    (error: unknown) => ({ error }),
  );
  try {
    return await Promise.race([settled, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The reason goes out as the last line of stderr and to the termination log, in one line each. */
function reportStartFailure(error: unknown, { settings, host, stderr, log, complete }: Serving): number {
  complete();
  const line = describeStartFailure(error, settings);
  if (line === undefined) log.error({ error }, 'Cannot start');
  const shown = line ?? `Cannot start: ${error instanceof Error ? error.message : String(error)}`;
  const text = `${oneLine(shown)}\n`;
  stderr.write(text);
  writeTerminationLog(text, host.terminationLogPath);
  // What an operator can put right is wrong usage, wherever it is found out.
  return line === undefined ? EXIT_FAILED : EXIT_USAGE;
}

const LISTEN_FAULTS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the port is in use',
  EACCES: 'the port is not permitted to this user',
  EADDRNOTAVAIL: 'this machine has no such address',
  ENOTFOUND: 'no such host',
};

/** One line that names the option and the fix, or undefined for a fault that nobody foresaw. */
function describeStartFailure(error: unknown, { server }: Settings): string | undefined {
  if (isServingError(error)) return error.message;
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  const fault = LISTEN_FAULTS[String(error.code)];
  if (fault === undefined) return undefined;
  const port = 'port' in error ? Number(error.port) : undefined;
  const option = server.port !== undefined ? '--port' : port === server.grpcPort ? '--grpc_port' : '--http_port';
  const isAddress = error.code === 'EADDRNOTAVAIL' || error.code === 'ENOTFOUND';
  const where = `${server.host}${port === undefined ? '' : `:${port}`}`;
  return `Cannot listen on ${where}: ${fault}, choose another ${isAddress ? '--host' : option}`;
}

/** Nobody waits for the example: when it cannot be made the server serves all the same. */
async function printExample(server: RunningServer, host: Host, log: Logger): Promise<void> {
  try {
    host.stdout.write(await renderExample(server));
  } catch (error) {
    log.warn({ error }, 'Cannot make an example request');
  }
}
