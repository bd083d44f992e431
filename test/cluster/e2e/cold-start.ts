/**
 *     npx tsx test/cluster/e2e/cold-start.ts [--docs FILE] [--rounds N] [--hold COMMAND]
 *
 * The time from a request at zero pods to its answer: of an InferenceService whose model an init container brings, of one whose server fetches it, and of the least
 * container there is (KSERVE_NODE_TINY_IMAGE, a busybox with httpd), in turn. The cluster is the one of surroundings.ts.
 */
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { Hold } from '../../bench/effort.ts';
import { createHold } from '../../bench/hold.ts';
import { describeMachine, mergeDocument, type CaseReport } from '../../bench/report.ts';
import { formatSpread, spreadOf } from '../../bench/statistics.ts';
import { apply, kubectl, list, type Pod } from '../kubectl.ts';
import { applyService, cleanUp, eventually, hostOf, pods, prepare, SURROUNDINGS, waitReady } from './surroundings.ts';
import { labelOf, post } from './traffic.ts';

const { values } = parseArgs({ options: { docs: { type: 'string' }, rounds: { type: 'string', default: '5' }, hold: { type: 'string' } } });
const { ingress, namespace, domain } = SURROUNDINGS;
const TINY_IMAGE = process.env['KSERVE_NODE_TINY_IMAGE'] ?? 'docker.io/library/busybox:1.37';

/** Seconds of the parts of one start, in order. */
const PARTS = [
  'a pod is bound to a node',
  'sandbox, init container',
  'its end is seen, container starts',
  'server starts',
  'queue-proxy starts, answer',
] as const;

/** Services of ours, and what stands in the table. */
const SERVICES = { initializer: 'storageUri, an init container downloads', direct: '--model_dir=s3://…, the server downloads' } as const;
type Service = keyof typeof SERVICES;

interface Start {
  readonly seconds: number;
  /** As PARTS; without an init container the second is in the third. */
  readonly parts: readonly number[];
}

interface Round extends Readonly<Record<Service, Start>> {
  readonly tiny: number;
}

async function prepareServices(): Promise<void> {
  await prepare();
  await apply(`
apiVersion: serving.knative.dev/v1
kind: Service
metadata: { name: tiny, namespace: ${namespace} }
spec:
  template:
    metadata: { annotations: { autoscaling.knative.dev/window: 10s } }
    spec:
      timeoutSeconds: 40 # busybox as process 1 takes no SIGTERM: its pod goes with the grace period, which follows from this
      containers:
        - image: ${TINY_IMAGE}
          command: [/bin/busybox, httpd, -f, -p, '8080', -h, /]
          readinessProbe: { tcpSocket: { port: 8080 } }
          resources: { requests: { cpu: 50m, memory: 32Mi } }
`);
  await applyService('initializer', { protocolVersion: 'v2', minReplicas: 0 });
  await apply(DIRECT);
  for (const service of Object.keys(SERVICES)) await waitReady(service);
  await kubectl('wait', 'ksvc/tiny', '-n', namespace, '--for=condition=Ready', '--timeout=120s');
}

/** As manifests/predictor-from-storage.yaml. */
const DIRECT = JSON.stringify({
  apiVersion: 'serving.kserve.io/v1beta1',
  kind: 'InferenceService',
  metadata: { name: 'direct', namespace, annotations: { 'autoscaling.knative.dev/window': '10s' } },
  spec: {
    predictor: {
      minReplicas: 0,
      maxReplicas: 2,
      containers: [
        {
          name: 'kserve-container',
          image: SURROUNDINGS.image,
          args: ['serve', '--model_name=direct', `--model_dir=${SURROUNDINGS.modelUri}`],
          env: [
            { name: 'AWS_ENDPOINT_URL', value: process.env['AWS_ENDPOINT_URL'] ?? '' },
            { name: 'AWS_DEFAULT_REGION', value: process.env['AWS_DEFAULT_REGION'] ?? 'us-east-1' },
          ],
          envFrom: [{ secretRef: { name: 'models' } }],
          readinessProbe: { httpGet: { path: '/v2/health/ready', port: 8080 } },
          resources: { requests: { cpu: '50m', memory: '128Mi' }, limits: { cpu: '2', memory: '1Gi' } },
          securityContext: { runAsNonRoot: true, readOnlyRootFilesystem: true, allowPrivilegeEscalation: false },
          volumeMounts: [{ name: 'tmp', mountPath: '/tmp' }],
        },
      ],
      volumes: [{ name: 'tmp', emptyDir: {} }],
    },
  },
});

async function tinyPods(): Promise<readonly Pod[]> {
  return list<Pod>('pods', '-n', namespace, '-l', 'serving.knative.dev/service=tiny');
}

/** When a pod of a service was first seen bound to a node, by the clock that the containers have, too. */
function watchBinding(service: Service): { readonly boundAt: Promise<number>; stop(): void } {
  const args = [
    'get',
    'pods',
    '-n',
    namespace,
    '-l',
    `serving.kserve.io/inferenceservice=${service}`,
    '--watch-only',
    '-o',
    'jsonpath={.spec.nodeName}{"\\n"}',
  ];
  const watch = spawn('kubectl', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const boundAt = new Promise<number>((resolve) => {
    watch.stdout.on('data', (chunk: Buffer) => {
      if (chunk.toString().trim() !== '') resolve(Date.now());
    });
  });
  return {
    boundAt,
    stop: () => {
      watch.kill();
    },
  };
}

async function logTime(pod: string, container: string, text: string): Promise<number> {
  const log = await kubectl('logs', pod, '-n', namespace, '-c', container, '--timestamps');
  const line = log.split('\n').find((each) => each.includes(text));
  if (line === undefined) throw new Error(`no "${text}" in the log of ${container}:\n${log}`);
  return Date.parse(line.split(' ')[0] ?? '');
}

async function ask(host: string, path: string): Promise<number> {
  const began = performance.now();
  const answer = await post(ingress, host, path);
  if (path !== '/' && labelOf(answer) !== 1) throw new Error(`wrong answer: ${String(answer.status)} ${answer.body}`);
  return (performance.now() - began) / 1000;
}

async function measureStart(service: Service): Promise<Start> {
  const watch = watchBinding(service);
  // The watch is there before what it is to see.
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const askedAt = Date.now();
  const seconds = await ask(hostOf(service), `/v2/models/${service}/infer`);
  const boundAt = await watch.boundAt;
  watch.stop();
  const [pod] = (await pods(service)).filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  const name = pod?.metadata.name ?? '';
  const downloadedAt = service === 'direct' ? boundAt : await logTime(name, 'storage-initializer', '"Downloaded"');
  const servingAt = await logTime(name, 'kserve-container', '"message":"Serving"');
  const metrics = await kubectl('get', '--raw', `/api/v1/namespaces/${namespace}/pods/${name}:8080/proxy/metrics`);
  const startedAt = servingAt - Number(/kserve_node_startup_seconds\{phase="listening"\} (\S+)/.exec(metrics)?.[1]) * 1000;
  const points = [askedAt, boundAt, downloadedAt, startedAt, servingAt, askedAt + seconds * 1000];
  return { seconds, parts: PARTS.map((_, part) => ((points[part + 1] ?? 0) - (points[part] ?? 0)) / 1000) };
}

async function measureRound(): Promise<Round> {
  const tiny = await ask(`tiny.${namespace}.${domain}`, '/');
  return { tiny, initializer: await measureStart('initializer'), direct: await measureStart('direct') };
}

function report(rounds: readonly Round[]): CaseReport {
  const spread = (of: (round: Round) => number): string => formatSpread(spreadOf(rounds.map(of)), 2);
  const median = (of: (round: Round) => number): number => spreadOf(rounds.map(of)).median;
  const services = Object.entries(SERVICES) as [Service, string][];
  return {
    title: 'from zero pods to an answer, Knative',
    method:
      'A request at zero pods, through ingress, activator and queue-proxy, until its answer: of InferenceServices in Knative mode with the digits model in S3, and in turn of a ' +
      `busybox httpd without model. Images are on the node. ${String(rounds.length)} rounds.`,
    columns: ['', 'busybox', ...services.map(([, what]) => what)],
    rows: [
      ['seconds to the answer', spread(({ tiny }) => tiny), ...services.map(([service]) => spread((round) => round[service].seconds))],
      ...PARTS.map((what, part) => [`· ${what}`, '', ...services.map(([service]) => spread((round) => round[service].parts[part] ?? 0))]),
    ],
    goals: services.map(([service, what]) => ({
      what: `${what}: seconds more than busybox`,
      ratio: median((round) => round[service].seconds) - median(({ tiny }) => tiny),
      limit: 1,
      isAtLeast: false,
    })),
  };
}

const hold: Hold = values.hold === undefined ? (part) => part() : createHold(values.hold);
await prepareServices();
const rounds: Round[] = [];
while (rounds.length < Number(values.rounds)) {
  await eventually('no pod', 180, async () => {
    const all = [...(await pods('initializer')), ...(await pods('direct')), ...(await tinyPods())];
    return all.every(({ metadata }) => metadata.deletionTimestamp !== undefined);
  });
  const round = await hold(measureRound);
  rounds.push(round);
  process.stderr.write(`${JSON.stringify(round)}\n`);
}
await kubectl('delete', 'ksvc/tiny', '-n', namespace);
await cleanUp();
const bench = { ...describeMachine(), command: 'npx tsx test/cluster/e2e/cold-start.ts', cases: [report(rounds)] };
const document = values.docs === undefined ? '' : readFileSync(values.docs, 'utf8');
const merged = mergeDocument(document, bench);
if (values.docs === undefined) process.stdout.write(merged);
else writeFileSync(values.docs, merged);
