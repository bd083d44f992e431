import { describe, expect, it } from 'vitest';
import { loadSettings, SECTIONS, type LoadedSettings, type Settings } from '../../src/settings.ts';
import { COMPATIBILITY_FLAGS, flagOf, variableOf, type Option, type Section } from '../../src/options/index.ts';

const OPTIONS: readonly Option[] = Object.values<Section>(SECTIONS).flatMap(({ options }) => Object.values(options));

function load(argv: readonly string[], env: Record<string, string> = {}): LoadedSettings {
  return loadSettings({ argv, env, readFile: () => '{}' });
}

function settingsOf(argv: readonly string[] = [], env: Record<string, string> = {}): Settings {
  const loaded = load(['--model_dir=/mnt/models', ...argv], env);
  if (!loaded.ok) throw new Error(loaded.problems.join('\n'));
  return loaded.settings;
}

function problemsOf(argv: readonly string[], env: Record<string, string> = {}): readonly string[] {
  const loaded = load(argv, env);
  return loaded.ok ? [] : loaded.problems;
}

describe('loadSettings', () => {
  it("has KServe's defaults and ours, complete and frozen", () => {
    const settings = settingsOf();
    expect(settings).toEqual({
      server: {
        modelDir: '/mnt/models',
        modelName: undefined,
        host: '0.0.0.0',
        port: undefined,
        httpPort: 8080,
        grpcPort: 8081,
        enableGrpc: true,
        lameDuckMs: 5000,
        gracePeriodMs: 30_000,
        printExample: false,
        startupReport: false,
      },
      handler: { handler: undefined, enableModelHandlers: false, concurrency: 64, env: undefined, heapMb: 0, maxStuck: 16, watch: false },
      predictor: expect.objectContaining({ host: undefined, protocol: 'v1', useSsl: false, requestTimeoutMs: 600_000, retries: 0 }) as object,
      explainer: expect.objectContaining({ kind: undefined, samples: 'auto', seed: 0 }) as object,
      executor: { isolation: 'auto', stopTimeoutMs: 1000 },
      engine: { onnxBinding: 'auto', provider: 'auto', intraOpThreads: 0, interOpThreads: 1 },
      scheduler: {
        instances: 0,
        batching: 'auto',
        maxBatchSize: 32,
        preferredBatchSize: undefined,
        maxQueueDelayMs: 0,
        priorityLevels: 1,
        defaultPriority: 1,
        queueTimeoutMs: Infinity,
        queueTimeoutAction: 'reject',
        maxQueueSize: 1000,
        requestTimeoutMs: 300_000,
      },
      repository: { loadTimeoutMs: 600_000, warmUp: 'auto', pollMs: 0 },
      cache: { maxBytes: 0, ttlMs: Infinity },
      storage: { modelCache: undefined, modelCacheBytes: 0, expectSha256: undefined, publicKey: undefined, signature: undefined, fsync: true },
      http: {
        maxBodyBytes: 67_108_864,
        maxHeaderBytes: 16_384,
        headerTimeoutMs: 10_000,
        bodyTimeoutMs: 60_000,
        keepAliveTimeoutMs: 65_000,
        maxJsonDepth: 100,
        ceType: 'io.kserve.inference.response',
        ceSource: undefined,
        ceMerge: false,
        maxConnections: 10_000,
      },
      grpc: { maxSendBytes: 8_388_608, maxReceiveBytes: 8_388_608 },
      telemetry: { logLevel: 'info', logFormat: 'auto', enableLatencyLogging: true },
    });
    expect(Object.isFrozen(settings)).toBe(true);
    for (const section of Object.values(settings)) expect(Object.isFrozen(section)).toBe(true);
  });

  it.each([
    [['--http_port=9000'], { server: { httpPort: 9000 } }],
    [['--http-port', '9000'], { server: { httpPort: 9000 } }],
    [['--grpc_port=9001'], { server: { grpcPort: 9001 } }],
    [['--grpc-port', '0'], { server: { grpcPort: 0 } }],
    [['--enable_grpc', 'False'], { server: { enableGrpc: false } }],
    [['--enable-grpc=no'], { server: { enableGrpc: false } }],
    [['--enable_grpc'], { server: { enableGrpc: true } }],
    [['--enable_latency_logging', 'off'], { telemetry: { enableLatencyLogging: false } }],
    [['--timeout-keep-alive', '5'], { http: { keepAliveTimeoutMs: 5000 } }],
    [['--timeout_keep_alive=5'], { http: { keepAliveTimeoutMs: 5000 } }],
    [['--model_name', 'digits'], { server: { modelName: 'digits' } }],
    [['--model-name=digits'], { server: { modelName: 'digits' } }],
    [['--grpc_max_send_message_length', '16777216'], { grpc: { maxSendBytes: 16_777_216 } }],
    [['--grpc-max-receive-message-length=-1'], { grpc: { maxReceiveBytes: -1 } }],
    [['--workers', '3'], { scheduler: { instances: 3 } }],
    [['--nthread=2'], { engine: { intraOpThreads: 2 } }],
    [['--warmup', 'ON'], { repository: { warmUp: 'on' } }],
    [['--warmup=false'], { repository: { warmUp: 'off' } }],
    [['--warmup=5'], { repository: { warmUp: 5 } }],
    [['--response_cache_bytes=64MiB', '--response-cache-ttl-seconds', '1.5'], { cache: { maxBytes: 67_108_864, ttlMs: 1500 } }],
  ])("KServe's %j is understood", (argv, expected) => {
    expect(settingsOf(argv)).toMatchObject(expected);
  });

  it('accepts a command line with every flag of KServe that a predictor may get', () => {
    const loaded = load(
      (
        '--model_name=m --model_dir=/mnt/models --http_port=8080 --grpc_port=8081 --workers=1 --max_threads=4 --max_asyncio_workers=8 --enable_grpc=True ' +
        '--enable_docs_url=False --enable_latency_logging=True --configure_logging=True --log_config_file=/l.yaml --access_log_format=x --event-loop=uvloop ' +
        '--timeout-keep-alive=65 --protocol=v2 --grpc_max_send_message_length=8388608 --grpc_max_receive_message_length=8388608'
      ).split(' '),
    );
    expect(loaded.ok ? loaded.warnings : loaded.problems).toHaveLength(8);
    expect(loaded.ok).toBe(true);
  });

  it('takes the port from Knative unless ours is set', () => {
    expect(settingsOf([], { PORT: '8012' }).server.httpPort).toBe(8012);
    expect(settingsOf([], { PORT: '8012', KSERVE_NODE_HTTP_PORT: '9000' }).server.httpPort).toBe(9000);
    expect(settingsOf(['--http_port=9001'], { PORT: '8012', KSERVE_NODE_HTTP_PORT: '9000' }).server.httpPort).toBe(9001);
  });

  it.each([
    ['INFO', 'info'],
    ['DEBUG', 'debug'],
    ['WARNING', 'warn'],
    ['ERROR', 'error'],
    ['CRITICAL', 'error'],
    ['warn', 'warn'],
  ])('reads KSERVE_LOGLEVEL=%s as %s', (written, level) => {
    expect(settingsOf([], { KSERVE_LOGLEVEL: written }).telemetry.logLevel).toBe(level);
  });

  it('decides the lame duck: none behind Knative, else 5 s and at most half of the grace period, else as given', () => {
    expect(settingsOf([], { K_SERVICE: 'digits' }).server.lameDuckMs).toBe(0);
    expect(settingsOf([], { K_SERVICE: '' }).server.lameDuckMs).toBe(5000);
    expect(settingsOf(['--grace_period_seconds=4']).server.lameDuckMs).toBe(2000);
    expect(settingsOf(['--lame_duck_seconds=8'], { K_SERVICE: 'digits' }).server.lameDuckMs).toBe(8000);
  });

  it('reads a request timeout of 0 as none, also in the short spelling', () => {
    expect(settingsOf(['--request_timeout=0']).scheduler.requestTimeoutMs).toBe(Infinity);
    expect(settingsOf(['--request-timeout-seconds', '1.5']).scheduler.requestTimeoutMs).toBe(1500);
  });

  it('reports contradictions between options beside all other problems', () => {
    expect(problemsOf(['--http_port=9000', '--grpc_port=9000', '--lame_duck_seconds=30', '--isolation=thread', '--http-prot=1'])).toEqual([
      'unknown flag --http_prot, did you mean --http_port?',
      '--isolation: expected auto, inline or process, got "thread"',
      '--model_dir=DIR is required: directory or URI that holds the model, or one sub-directory for each of several models; or give --handler or --predictor_host',
      '--grpc_port: expected another port than --http_port, got 9000 for both; --port=9000 serves both on one',
      '--lame_duck_seconds: expected less than --grace_period_seconds (30), got 30',
    ]);
    expect(problemsOf(['--model_dir=/m', '--grpc_port=8080'])).toHaveLength(1);
    expect(problemsOf(['--model_dir=/m', '--grpc_port=8080', '--enable_grpc=false'])).toEqual([]);
    expect(problemsOf(['--model_dir=/m', '--grpc_port=0', '--http_port=0'])).toEqual([]);
  });

  it.each([
    [['--enable_model_handlers', '--handler=/h.mjs'], []],
    [['--handler=/h.mjs'], []],
    [['--predictor_host=p:80'], []],
    [['--predictor_host=p', '--handler=/h.mjs', '--watch'], []],
    [['--predictor_host=p', '--enable_model_handlers'], ['--enable_model_handlers: expected --model_dir, where the handlers lie, got none']],
    [['--predictor_host=p', '--watch'], ['--watch: expected a handler or a model of its own to watch, got --predictor_host alone']],
    [['--model_dir=/m', '--enable_predictor_health_check'], ['--enable_predictor_health_check: expected --predictor_host, got none']],
    [['--handler=s3://b/h.mjs'], ['--handler: expected a path on this machine, got "s3://b/h.mjs"']],
  ])('without a model directory or beside a predictor: %j', (argv, problems) => {
    expect(problemsOf(argv)).toEqual(problems);
  });

  it('takes the URI of a model', () => {
    const settings = { server: { modelDir: 's3://bucket/digits' }, repository: { pollMs: 30_000 } };
    expect(load(['--model_dir=s3://bucket/digits', '--model_poll=30s'])).toMatchObject({ ok: true, settings });
  });

  it.each([
    [
      ['--model_dir=/m', '--expect_sha256=00'],
      ['--expect_sha256: expected --model_dir to be a URI, whose files are checked when they come, got none'],
    ],
    [['--model_dir=/m', '--public_key=k'], ['--public_key: expected --model_dir to be a URI, whose files are checked when they come, got none']],
    [['--model_dir=s3://b/m', '--signature=s'], ['--signature: expected --public_key of its signer, got none']],
    [['--handler=h.mjs', '--model_poll=1'], ['--model_poll: expected --model_dir to look at, got none']],
  ])('does not pass over what has nothing to do: %j', (argv, problems) => {
    expect(problemsOf(argv)).toEqual(problems);
  });
});

const VALUES: Readonly<Record<string, string>> = {
  model_dir: '/somewhere',
  handler: '/somewhere',
  explainer: 'occlusion',
  port: '8080',
  preferred_batch_size: '8,4',
};

describe('SECTIONS', () => {
  it('give every option a name of its own, also among aliases and flags of KServe', () => {
    const spellings = [...OPTIONS.flatMap(({ name, flags = [] }) => [name, ...flags]), ...COMPATIBILITY_FLAGS.map(({ name }) => name)];
    expect(new Set(spellings).size).toBe(spellings.length);
    for (const spelling of spellings) expect(spelling).toMatch(/^[a-z][a-z0-9]*(_[a-z0-9]+)*$/);
  });

  it.each(OPTIONS.map((option) => [option.name, option] as const))('let %s be set by flag, variable and file alike', (name, option) => {
    const value = String(option.default ?? VALUES[name] ?? 'somebody');
    const base = name === 'model_dir' ? [] : ['--model_dir=s3://b/m', ...(name === 'signature' ? ['--public_key=k'] : [])];
    const file = JSON.stringify({ [name]: value });
    const outcomes = [
      loadSettings({ argv: [...base, `${flagOf(name)}=${value}`], env: {}, readFile: () => '' }),
      loadSettings({ argv: base, env: { [variableOf(name)]: value }, readFile: () => '' }),
      loadSettings({ argv: [...base, '--config_file=c.json'], env: {}, readFile: () => file }),
    ];
    expect(outcomes[0]).toMatchObject({ ok: true });
    expect(outcomes[1]).toEqual(outcomes[0]);
    expect(outcomes[2]).toEqual(outcomes[0]);
  });

  it('say what each option is for in words that fit a sentence', () => {
    for (const { doc } of OPTIONS) expect(doc).toMatch(/^([^A-Z]|[A-Z]{2,} ).{10,}[^.]$/);
  });
});
