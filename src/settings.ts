import { cacheSection, type CacheSettings } from './cache/options.ts';
import { isUri } from './core/uri.ts';
import { engineSection, type EngineSettings } from './engine/options.ts';
import { predictorSection, type PredictorSettings } from './engine/remote/options.ts';
import { executorSection, type ExecutorSettings } from './executor/options.ts';
import { explainerSection, type ExplainerSettings } from './explain/options.ts';
import { handlerSection, type HandlerSettings } from './handler/options.ts';
import { loadOptions, serverSection, type OptionSources, type ServerOptions } from './options/index.ts';
import { httpSection, type HttpSettings } from './protocol/http/options.ts';
import { grpcSection, type GrpcSettings } from './protocol/v2-grpc/options.ts';
import { repositorySection, type RepositorySettings } from './repository/options.ts';
import { schedulerSection, type SchedulerSettings } from './scheduler/options.ts';
import { storageSection, type StorageSettings } from './storage/options.ts';
import { telemetrySection, type TelemetrySettings } from './telemetry/options.ts';

/** Every option there is, by the stage that reads it. Stages import the TYPES of their options only: the sections bring the schema library along. */
export const SECTIONS = {
  server: serverSection,
  handler: handlerSection,
  predictor: predictorSection,
  explainer: explainerSection,
  executor: executorSection,
  engine: engineSection,
  scheduler: schedulerSection,
  repository: repositorySection,
  cache: cacheSection,
  storage: storageSection,
  http: httpSection,
  grpc: grpcSection,
  telemetry: telemetrySection,
} as const;

export interface ServerSettings extends Omit<ServerOptions, 'lameDuck'> {
  /** Decided, and less than `gracePeriodMs`. */
  readonly lameDuckMs: number;
}

/** What the user wants, complete, checked and frozen. Each stage receives its own member. */
export interface Settings {
  readonly server: ServerSettings;
  readonly handler: HandlerSettings;
  readonly predictor: PredictorSettings;
  readonly explainer: ExplainerSettings;
  readonly executor: ExecutorSettings;
  readonly engine: EngineSettings;
  readonly scheduler: SchedulerSettings;
  readonly repository: RepositorySettings;
  readonly cache: CacheSettings;
  readonly storage: StorageSettings;
  readonly http: HttpSettings;
  readonly grpc: GrpcSettings;
  readonly telemetry: TelemetrySettings;
}

export type LoadedSettings =
  | { readonly ok: true; readonly settings: Settings; readonly warnings: readonly string[] }
  | { readonly ok: false; readonly problems: readonly string[] };

const LAME_DUCK_MS = 5000;

/** Reads flags, variables and the config file. Never throws: the problems are all there are, one line each. */
export function loadSettings(sources: OptionSources): LoadedSettings {
  const loaded = loadOptions(SECTIONS, sources);
  const contradictions = findContradictions(loaded.values, loaded.ok ? [] : loaded.problems);
  if (!loaded.ok) return { ok: false, problems: [...loaded.problems, ...contradictions] };
  if (contradictions.length > 0) return { ok: false, problems: contradictions };
  const { lameDuck, ...server } = loaded.values.server;
  const lameDuckMs = lameDuck === 'auto' ? automaticLameDuckMs(server.gracePeriodMs, sources.env) : lameDuck;
  return {
    ok: true,
    settings: Object.freeze({ ...loaded.values, server: Object.freeze({ ...server, lameDuckMs }) }),
    warnings: loaded.warnings,
  };
}

/** Behind Knative's queue-proxy SIGTERM comes when no request can come any more: waiting would only delay the end. */
function automaticLameDuckMs(gracePeriodMs: number, env: OptionSources['env']): number {
  return env['K_SERVICE'] ? 0 : Math.min(LAME_DUCK_MS, gracePeriodMs / 2);
}

type Partly<T> = { readonly [P in keyof T]: T[P] | undefined };

const NO_MODEL =
  '--model_dir=DIR is required: directory or URI that holds the model, or one sub-directory for each of several models; or give --handler or --predictor_host';

/** What was read of the options that can contradict each other. */
interface Read {
  readonly server: Partly<ServerOptions>;
  readonly handler: Partly<HandlerSettings>;
  readonly predictor: Partly<PredictorSettings>;
  readonly repository: Partly<RepositorySettings>;
  readonly storage: Partly<StorageSettings>;
}

function findContradictions(read: Read, problems: readonly string[]): string[] {
  const { server, handler, predictor } = read;
  // What could not be read, or was misspelled, is not missing.
  const isSaid = problems.some((problem) => /--(model_dir|handler|predictor_host)\b/.test(problem));
  const hasNoModel = !isSaid && server.modelDir === undefined && handler.handler === undefined && predictor.host === undefined;
  return [
    ...(hasNoModel ? [NO_MODEL] : []),
    ...contradictionsOfServer(server),
    ...contradictionsOfModel(server, handler, predictor),
    ...(isSaid ? [] : contradictionsOfStorage(read)),
  ];
}

function contradictionsOfServer({ enableGrpc, port, httpPort, grpcPort, lameDuck, gracePeriodMs }: Read['server']): string[] {
  const problems: string[] = [];
  if (enableGrpc && port === undefined && grpcPort !== undefined && grpcPort !== 0 && grpcPort === httpPort) {
    problems.push(`--grpc_port: expected another port than --http_port, got ${grpcPort} for both; --port=${grpcPort} serves both on one`);
  }
  if (typeof lameDuck === 'number' && gracePeriodMs !== undefined && lameDuck >= gracePeriodMs) {
    problems.push(`--lame_duck_seconds: expected less than --grace_period_seconds (${gracePeriodMs / 1000}), got ${lameDuck / 1000}`);
  }
  return problems;
}

function contradictionsOfModel({ modelDir }: Read['server'], handler: Read['handler'], predictor: Read['predictor']): string[] {
  const problems: string[] = [];
  const hasPredictor = predictor.host !== undefined;
  if (handler.enableModelHandlers === true && handler.handler === undefined && modelDir === undefined) {
    problems.push('--enable_model_handlers: expected --model_dir, where the handlers lie, got none');
  }
  if (handler.watch === true && hasPredictor && handler.handler === undefined && handler.enableModelHandlers !== true) {
    problems.push('--watch: expected a handler or a model of its own to watch, got --predictor_host alone');
  }
  if (predictor.enableHealthCheck === true && !hasPredictor) {
    problems.push('--enable_predictor_health_check: expected --predictor_host, got none');
  }
  return problems;
}

/** A check that nobody makes must not be taken for one that passed. */
function contradictionsOfStorage({ server: { modelDir }, repository: { pollMs = 0 }, storage }: Read): string[] {
  const problems: string[] = [];
  const isRemote = modelDir !== undefined && isUri(modelDir);
  const checks = [
    ['expect_sha256', storage.expectSha256],
    ['public_key', storage.publicKey],
  ] as const;
  for (const [name, value] of checks) {
    if (value !== undefined && !isRemote)
      problems.push(`--${name}: expected --model_dir to be a URI, whose files are checked when they come, got none`);
  }
  if (storage.signature !== undefined && storage.publicKey === undefined) problems.push('--signature: expected --public_key of its signer, got none');
  if (pollMs > 0 && modelDir === undefined) problems.push('--model_poll: expected --model_dir to look at, got none');
  return problems;
}
