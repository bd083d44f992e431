import { EXIT_OK, EXIT_USAGE, type Host } from './host.ts';
import { renderUsage } from './usage.ts';

export type { Host } from './host.ts';

type RunVerb = (args: readonly string[], host: Host) => Promise<number>;

interface Verb {
  readonly summary: string;
  load(): Promise<RunVerb>;
}

/** One line a verb. Imported on use: `version` waits for nothing. */
const VERBS: Readonly<Record<string, Verb>> = {
  serve: { summary: 'serve a model over REST and gRPC (the default)', load: async () => (await import('./serve.ts')).runServe },
  inspect: { summary: 'say what a model takes and gives', load: async () => (await import('./inspect.ts')).runInspect },
  types: { summary: "write a model's inputs and outputs as TypeScript types", load: async () => (await import('./types.ts')).runTypes },
  init: { summary: 'write a small project to start from', load: async () => (await import('./init.ts')).runInit },
  pack: { summary: 'bundle a handler and what it imports into one file', load: async () => (await import('./pack.ts')).runPack },
  download: {
    summary: "bring a model from storage to a directory, as KServe's storage initializer does",
    load: async () => (await import('./download.ts')).runDownload,
  },
  bench: { summary: 'load a server, or a model, and tell how fast it answers', load: async () => (await import('./bench.ts')).runBenchVerb },
  manifest: { summary: 'print an InferenceService for a model', load: async () => (await import('./manifest.ts')).runManifest },
  rollout: {
    summary: 'move traffic of an InferenceService to a new predictor step by step, judged by metrics, and back',
    load: async () => (await import('./rollout.ts')).runRolloutVerb,
  },
  version: { summary: 'print the version', load: async () => (await import('./version.ts')).runVersion },
  help: { summary: 'print this, or help on a command', load: () => Promise.resolve(runHelp) },
};

/** Runs the command line and returns the exit code: 0 done, 1 failed, 2 wrong usage. Rejects only on faults of this program. */
export async function runCli(host: Host): Promise<number> {
  const [first = 'serve', ...rest] = host.argv;
  if (first === '--help' || first === '-h') return runHelp([], host);
  if (first === '--version') return runVerb('version', [], host);
  if (first.startsWith('-')) return runVerb('serve', host.argv, host);
  return runVerb(first, rest, host);
}

async function runVerb(name: string, args: readonly string[], host: Host): Promise<number> {
  const verb = Object.hasOwn(VERBS, name) ? VERBS[name] : undefined;
  if (verb === undefined) return refuseVerb(name, host);
  if (name !== 'help' && (args.includes('--help') || args.includes('-h'))) return runHelp([name], host);
  const run = await verb.load();
  return run(args, host);
}

async function runHelp([topic]: readonly string[], host: Host): Promise<number> {
  if (topic !== undefined && !Object.hasOwn(VERBS, topic)) return refuseVerb(topic, host);
  host.stdout.write(await renderUsage(topic, VERBS));
  return EXIT_OK;
}

async function refuseVerb(name: string, host: Host): Promise<number> {
  const { didYouMean } = await import('../options/index.ts');
  const names = Object.keys(VERBS);
  host.stderr.write(`unknown command ${JSON.stringify(name)}${didYouMean(name, names)} (commands: ${names.join(', ')})\n`);
  return EXIT_USAGE;
}
