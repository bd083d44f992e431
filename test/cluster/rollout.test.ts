import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { freePort } from '../../src/bench/free-port.ts';
import { firstStatus, statusAfter, templateOf, type PredictorStatus } from '../support/kserve-status.ts';
import { MAIN, startServerProcess, type ServerProcess } from '../support/server.ts';

/**
 * `rollout` against a real API server (KUBECONFIG) and a real Prometheus that scrapes real servers of ours: a good one and one that fails. What KServe's
 * controller would do is done here: it writes the status that it was recorded to write, and sends requests by it.
 */
const NAMESPACE = 'roll-contract';
const run = promisify(execFile);
const kubectl = async (...args: readonly string[]): Promise<string> => (await run('kubectl', args)).stdout;

const HANDLER = `import { defineHandler } from 'kserve-node';
let count = 0;
export default defineHandler({
  inputs: [{ name: 'x', datatype: 'FP32', shape: [-1] }],
  outputs: [{ name: 'y', datatype: 'FP32', shape: [-1] }],
  predict(request) {
    if (FAILS && count++ % 4 === 0) throw new Error('every fourth one fails');
    const x = request.input('x', 'FP32');
    return [{ name: 'y', datatype: 'FP32', shape: [x.length], data: Float32Array.from(x) }];
  },
});
`;
const BODY = JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [1], data: [1] }] });

interface Service {
  readonly spec: { readonly predictor: Readonly<Record<string, unknown>> };
  readonly status?: { readonly components?: { readonly predictor?: PredictorStatus } };
}

const dir = mkdtempSync(join(tmpdir(), 'kserve-node-rollout-'));
/** What serves the revisions: the stable ones, those of a good new model, those of a bad one. */
const KINDS = ['stable', 'good', 'bad'] as const;
type Kind = (typeof KINDS)[number];
const servers = new Map<Kind, ServerProcess>();
let proxy: ChildProcess | undefined;
let prometheus: ChildProcess | undefined;
let [api, metrics] = ['', ''];
let stopping = false;
const loops: Promise<void>[] = [];

const pathOf = (name: string): string => `${api}/apis/serving.kserve.io/v1beta1/namespaces/${NAMESPACE}/inferenceservices/${name}`;
const read = async (name: string): Promise<Service | undefined> => {
  const response = await fetch(pathOf(name));
  return response.ok ? ((await response.json()) as Service) : undefined;
};

const kindOf = new Map<string, Kind>();

/** Writes the status of a service, as KServe would, and sends requests by it, until everything ends. */
async function stand(name: string): Promise<void> {
  let template = '';
  let sent = 0;
  while (!stopping) {
    const service = await read(name);
    if (service === undefined) return;
    const { predictor } = service.spec;
    const before = service.status?.components?.predictor;
    const next =
      before === undefined
        ? firstStatus(name)
        : statusAfter(name, before, predictor['canaryTrafficPercent'] as number | undefined, templateOf(predictor) !== template);
    template = templateOf(predictor);
    kindOf.set(next.latestCreatedRevision, KINDS.find((kind) => JSON.stringify(predictor).includes(`models/${kind}`)) ?? 'stable');
    if (JSON.stringify(next) !== JSON.stringify(before)) {
      const status = { deploymentMode: 'Knative', components: { predictor: next } };
      await fetch(`${pathOf(name)}/status`, {
        method: 'PATCH',
        headers: { 'Content-Type': 'application/merge-patch+json' },
        body: JSON.stringify({ status }),
      });
    }
    const requests = Array.from({ length: 8 }, () => {
      const at = sent++ % 100;
      const [latest, rest] = next.traffic;
      const target = at < (latest?.percent ?? 100) ? latest : rest;
      return ask(target?.revisionName ?? '');
    });
    await Promise.all([...requests, new Promise((resolve) => setTimeout(resolve, 100))]);
  }
}

async function ask(revision: string): Promise<void> {
  const { url } = servers.get(kindOf.get(revision) ?? 'stable') ?? { url: '' };
  const response = await fetch(`${url}/v2/models/echo/infer`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: BODY });
  await response.arrayBuffer();
}

async function startServer(kind: Kind): Promise<void> {
  const handler = join(dir, `${kind}.mjs`);
  writeFileSync(handler, HANDLER.replace('FAILS', String(kind === 'bad')));
  servers.set(kind, await startServerProcess(['--model_name=echo', `--handler=${handler}`]));
}

async function apply(name: string): Promise<void> {
  const manifest = {
    apiVersion: 'serving.kserve.io/v1beta1',
    kind: 'InferenceService',
    metadata: { name, namespace: NAMESPACE },
    spec: {
      predictor: {
        minReplicas: 1,
        model: { modelFormat: { name: 'onnx' }, protocolVersion: 'v2', runtime: 'kserve-node', storageUri: 's3://models/stable' },
      },
    },
  };
  const file = join(dir, `${name}.json`);
  writeFileSync(file, JSON.stringify(manifest));
  await kubectl('apply', '-f', file);
  loops.push(stand(name));
  await expect.poll(async () => (await read(name))?.status?.components?.predictor?.traffic, { timeout: 30_000 }).toBeDefined();
}

interface Run {
  readonly process: ChildProcess;
  readonly lines: () => readonly { readonly event: string; readonly message: string; readonly phase: string; readonly weight: number }[];
  readonly output: () => string;
  readonly exit: Promise<number | null>;
}

function rollout(action: string, name: string, ...flags: readonly string[]): Run {
  const args = [MAIN, 'rollout', action, name, `--namespace=${NAMESPACE}`, '--lease=3', ...flags];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let [output, complaints] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (complaints += chunk.toString()));
  const exit = new Promise<number | null>((resolve) => child.once('close', resolve));
  return {
    process: child,
    exit,
    output: () => output + complaints,
    lines: () => output.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as ReturnType<Run['lines']>[number]] : [])),
  };
}

const PACE = ['--stable_selector=pod="stable"', '--steps=50', '--interval=6', '--check_interval=1', '--patience=60', '--min_requests=30'];

/** Flags of a rollout whose canary is served by one of the servers. */
const judging = (kind: Kind): readonly string[] => [metrics, `--canary_selector=pod="${kind}"`, ...PACE];

beforeAll(async () => {
  await Promise.all(KINDS.map(startServer));
  const [apiPort, port] = [await freePort(), await freePort()];
  proxy = spawn('kubectl', ['proxy', `--port=${String(apiPort)}`], { stdio: 'ignore' });
  api = `http://127.0.0.1:${String(apiPort)}`;
  const targets = [...servers].map(([kind, { url }]) => ({ targets: [new URL(url).host], labels: { pod: kind } }));
  const config = {
    global: { scrape_interval: '1s' },
    scrape_configs: [{ job_name: 'servers', static_configs: targets }],
  };
  writeFileSync(join(dir, 'prometheus.yml'), JSON.stringify(config));
  const args = [
    `--config.file=${join(dir, 'prometheus.yml')}`,
    `--storage.tsdb.path=${join(dir, 'tsdb')}`,
    `--web.listen-address=127.0.0.1:${String(port)}`,
  ];
  prometheus = spawn('prometheus', args, { stdio: 'ignore' });
  metrics = `--prometheus_url=http://127.0.0.1:${String(port)}`;
  const isUp = (url: string): Promise<boolean> =>
    fetch(url).then(
      ({ ok }) => ok,
      () => false,
    );
  await vi.waitFor(async () => {
    expect(await isUp(`http://127.0.0.1:${String(port)}/-/ready`)).toBe(true);
  }, 30_000);
  await vi.waitFor(async () => {
    expect(await isUp(`${api}/readyz`)).toBe(true);
  }, 30_000);
  await kubectl('create', 'namespace', NAMESPACE);
}, 120_000);

afterAll(async () => {
  stopping = true;
  await Promise.allSettled(loops);
  await kubectl('delete', 'namespace', NAMESPACE, '--wait=false').catch(() => undefined);
  for (const child of [proxy, prometheus]) child?.kill();
  await Promise.all([...servers.values()].map((server) => server.stop()));
  rmSync(dir, { recursive: true, force: true });
}, 60_000);

describe('kserve-node rollout', () => {
  it('promotes a good canary, while somebody else applies the same service again and again', async () => {
    await apply('promoted');
    const gitOps = {
      apiVersion: 'serving.kserve.io/v1beta1',
      kind: 'InferenceService',
      metadata: { name: 'promoted', namespace: NAMESPACE },
      spec: { predictor: { minReplicas: 1 } },
    };
    const file = join(dir, 'gitops.json');
    writeFileSync(file, JSON.stringify(gitOps));
    const sync = (): Promise<string> => kubectl('apply', '--server-side', '--field-manager=argocd-controller', '--force-conflicts', '-f', file);
    await sync();
    const going = rollout('run', 'promoted', '--storage_uri=s3://models/good', ...judging('good'));
    await expect.poll(() => going.output(), { timeout: 120_000 }).toContain('"weight":50');
    await sync();
    expect(await going.exit, going.output()).toBe(0);
    expect(going.lines().map(({ event }) => event)).toEqual(
      expect.arrayContaining(['RolloutStarted', 'RolloutStep', 'RolloutStepPassed', 'RolloutPromoted']),
    );
    const predictor = (await read('promoted'))?.spec.predictor;
    expect(predictor).toMatchObject({ minReplicas: 1, model: { storageUri: 's3://models/good' } });
    expect(predictor).not.toHaveProperty('canaryTrafficPercent');
    expect((await read('promoted'))?.status?.components?.predictor?.latestRolledoutRevision).toBe('promoted-predictor-00002');
    // What the first rollout set is still set after a second one that changes something else.
    const second = { ...gitOps, spec: { predictor: { timeout: 30 } } };
    writeFileSync(file, JSON.stringify(second));
    const again = rollout('run', 'promoted', `--file=${file}`, '--dry_run');
    expect(await again.exit, again.output()).toBe(0);
  });

  it('takes a bad canary back, with the reason as an event', async () => {
    await apply('taken-back');
    const going = rollout('run', 'taken-back', '--storage_uri=s3://models/bad', ...judging('bad'));
    expect(await going.exit, going.output()).toBe(3);
    const predictor = (await read('taken-back'))?.spec.predictor;
    expect(predictor).toMatchObject({ minReplicas: 1, model: { storageUri: 's3://models/stable' } });
    expect(predictor).not.toHaveProperty('canaryTrafficPercent');
    const events = await kubectl('get', 'events', '-n', NAMESPACE, '--field-selector=reason=RolloutRolledBack', '-o', 'jsonpath={.items[*].message}');
    expect(events).toMatch(
      /taken-back-predictor-00001 has all traffic again: 2\d(\.\d)? % of the canary's requests failed, 0 % of the stable revision's/,
    );
    const again = rollout('run', 'taken-back', '--storage_uri=s3://models/bad', ...judging('bad'));
    expect(await again.exit).toBe(1);
    expect(again.output()).toContain('this was rolled back before');
  });

  it('goes on after its runner was killed, while a second runner is refused', async () => {
    await apply('killed');
    const first = rollout('run', 'killed', '--storage_uri=s3://models/good', ...judging('good'));
    await expect.poll(() => first.output(), { timeout: 120_000 }).toContain('"phase":"judging","weight":50');
    const beside = rollout('run', 'killed', ...judging('good'));
    expect(await beside.exit, beside.output()).toBe(4);
    expect(beside.output()).toContain('Cannot run two rollouts at once');
    first.process.kill('SIGKILL');
    await first.exit;
    const second = rollout('run', 'killed', ...judging('good'));
    expect(await second.exit, second.output()).toBe(0);
    expect(second.lines()[0]).toMatchObject({ event: 'RolloutStarted', weight: 50 });
    const status = rollout('status', 'killed', '--output=json');
    expect(await status.exit).toBe(0);
    expect(JSON.parse(status.output())).toMatchObject({ phase: 'promoted', judgedWeight: 100 });
  });

  it('refuses what another manager applies', async () => {
    await apply('owned');
    const file = join(dir, 'owned.json');
    await kubectl('apply', '--server-side', '--field-manager=argocd-controller', '--force-conflicts', '-f', file);
    const refused = rollout('run', 'owned', '--storage_uri=s3://models/good', ...judging('good'));
    expect(await refused.exit).toBe(1);
    expect(refused.output()).toMatch(
      /^Cannot roll out: other field managers own \.spec\.predictor\.model\.storageUri \(conflict with "argocd-controller"/,
    );
  });
});
