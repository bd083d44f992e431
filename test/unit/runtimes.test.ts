import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { load } from 'js-yaml';
import { describe, expect, it } from 'vitest';
import { loadSettings } from '../../src/settings.ts';
import { METRIC_TABLE } from '../../src/telemetry/metric-table.ts';

const ROOT = resolve(import.meta.dirname, '../..');

interface Probe {
  readonly httpGet?: { readonly path: string; readonly port: number };
  readonly initialDelaySeconds?: number;
  readonly periodSeconds?: number;
  readonly failureThreshold?: number;
}

interface Container {
  readonly name: string;
  readonly args: readonly string[];
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
  readonly readinessProbe: Probe;
  readonly startupProbe?: Probe;
  readonly livenessProbe: Probe;
  readonly resources: { readonly limits: Readonly<Record<string, string>> };
  readonly securityContext: object;
}

interface Runtime {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly supportedModelFormats: readonly {
      readonly name: string;
      readonly version: string;
      readonly autoSelect?: boolean;
      readonly priority?: number;
    }[];
    readonly protocolVersions: readonly string[];
    readonly containers: readonly [Container];
    readonly nodeSelector?: object;
    readonly tolerations?: object;
  };
}

const runtimes = readdirSync(join(ROOT, 'runtimes'))
  .filter((name) => name.startsWith('kserve-node') && name.endsWith('.yaml'))
  .map((name) => load(readFileSync(join(ROOT, 'runtimes', name), 'utf8')) as Runtime)
  .map((runtime) => [runtime.metadata.name, runtime] as const);

const isStandard = (name: string): boolean => name.endsWith('-standard');

describe.each(runtimes)('runtime %s', (name, { spec }) => {
  const [container] = spec.containers;

  it('starts a server that takes its flags', () => {
    expect(container.name).toBe('kserve-container');
    const [verb, ...argv] = container.args.map((arg) => arg.replace('{{.Name}}', 'digits'));
    expect(verb).toBe('serve');
    expect(loadSettings({ argv, env: {}, readFile: (path) => readFileSync(path, 'utf8') })).toMatchObject({ ok: true, warnings: [] });
  });

  it('runs where PodSecurity is restricted, on a root that cannot be written', () => {
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      runAsNonRoot: true,
      capabilities: { drop: ['ALL'] },
      seccompProfile: { type: 'RuntimeDefault' },
    });
  });

  it('leaves a start its time and a server that hangs little', () => {
    const { readinessProbe, startupProbe, livenessProbe } = container;
    expect(readinessProbe.httpGet).toEqual({ path: '/v2/health/ready', port: 8080 });
    for (const probe of [startupProbe ?? livenessProbe, livenessProbe]) expect(probe.httpGet).toEqual({ path: '/v2/health/live', port: 8080 });
    const loaded = loadSettings({ argv: ['--model_dir=/mnt/models'], env: {}, readFile: (path) => readFileSync(path, 'utf8') });
    const { loadTimeoutMs } = loaded.ok ? loaded.settings.repository : { loadTimeoutMs: Number.NaN };
    const startSeconds = (startupProbe?.periodSeconds ?? 0) * (startupProbe?.failureThreshold ?? 0) + (livenessProbe.initialDelaySeconds ?? 0);
    expect(startSeconds * 1000).toBeGreaterThanOrEqual(loadTimeoutMs);
    expect((livenessProbe.periodSeconds ?? 0) * (livenessProbe.failureThreshold ?? 0)).toBeLessThanOrEqual(30);
  });

  it.runIf(!isStandard(name))('has nothing that Knative refuses, and a probe that the queue-proxy repeats at once', () => {
    expect(container.ports?.length ?? 0).toBeLessThanOrEqual(1);
    expect(container.ports?.[0]?.name ?? 'h2c').toBe('h2c');
    expect(spec.nodeSelector).toBeUndefined();
    expect(spec.tolerations).toBeUndefined();
    expect(container.readinessProbe.periodSeconds).toBeUndefined();
    // It delays the first answer after zero.
    expect(container.startupProbe).toBeUndefined();
  });

  it('has a port for each protocol that it says', () => {
    const isGrpc = spec.protocolVersions.includes('grpc-v2');
    expect(container.ports?.some((port) => port.name === 'h2c') ?? false).toBe(isGrpc);
    // The first is what Service and probes take for REST.
    if (isStandard(name)) expect(container.ports?.[0]).toMatchObject({ name: 'http1', containerPort: 8080 });
  });

  it('asks for a GPU, and insists on it, only where its name says so', () => {
    const isGpu = name.includes('gpu');
    expect('nvidia.com/gpu' in container.resources.limits).toBe(isGpu);
    expect(container.args.includes('--provider=cuda')).toBe(isGpu);
  });
});

describe('the runtimes', () => {
  it('that choose themselves agree with one another and with those of KServe', () => {
    const chosen = runtimes.flatMap(([, { spec }]) =>
      spec.supportedModelFormats
        .filter(({ autoSelect }) => autoSelect === true)
        .flatMap((format) => spec.protocolVersions.map((protocol) => `${format.name}:${format.version} ${protocol} ${String(format.priority)}`)),
    );
    // The same twice is refused by KServe's webhook; 1 is Triton's, 2 OpenVINO's.
    expect(chosen.sort()).toEqual(['onnx:1 grpc-v2 4', 'onnx:1 v1 4', 'onnx:1 v2 4']);
  });
});

describe.each(['rules.yaml', 'dashboard.yaml'])('manifests/monitoring/%s', (file) => {
  it('asks for metrics that there are', () => {
    const text = readFileSync(join(ROOT, 'manifests/monitoring', file), 'utf8');
    const asked = [...text.matchAll(/(?<![\w:])(?:kserve_node|request)_\w+(?=[{[])/g)].map(([name]) => name.replace(/_(bucket|sum|count)$/, ''));
    expect(asked.length).toBeGreaterThan(5);
    const known = METRIC_TABLE.map(({ name }) => name);
    expect([...new Set(asked)].filter((name) => !known.includes(name))).toEqual([]);
  });
});
