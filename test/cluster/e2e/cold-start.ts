/**
 *     npx tsx test/cluster/e2e/cold-start.ts [--docs FILE] [--rounds N] [--hold COMMAND]
 *
 * The time from a request at zero pods to its answer, of an InferenceService with download and, in turn, of the least container there is (KSERVE_NODE_TINY_IMAGE,
 * a busybox with httpd). The cluster is the one of surroundings.ts.
 */
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { createHold } from '../../bench/hold.ts';
import { describeMachine, mergeDocument, type CaseReport } from '../../bench/report.ts';
import { formatSpread, spreadOf } from '../../bench/statistics.ts';
import { apply, kubectl, list, type Pod } from '../kubectl.ts';
import { applyService, cleanUp, eventually, hostOf, pods, prepare, SURROUNDINGS, waitReady } from './surroundings.ts';
import { labelOf, post } from './traffic.ts';

const { values } = parseArgs({ options: { docs: { type: 'string' }, rounds: { type: 'string', default: '5' }, hold: { type: 'string' } } });
const { ingress, namespace, domain } = SURROUNDINGS;
const TINY_IMAGE = process.env['KSERVE_NODE_TINY_IMAGE'] ?? 'docker.io/library/busybox:1.37';
const SERVICE = 'cold';

/** Seconds of the parts of one start, in order. */
const PARTS = ['pod made and bound to a node', 'sandbox, download', 'container starts', 'server starts, model loads', 'probe and answer'] as const;

interface Round {
  readonly tiny: number;
  readonly ours: number;
  readonly parts: readonly number[];
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
  await applyService(SERVICE, { protocolVersion: 'v2', minReplicas: 0 });
  await waitReady(SERVICE);
  await kubectl('wait', 'ksvc/tiny', '-n', namespace, '--for=condition=Ready', '--timeout=120s');
}

async function tinyPods(): Promise<readonly Pod[]> {
  return list<Pod>('pods', '-n', namespace, '-l', 'serving.knative.dev/service=tiny');
}

/** When a pod of our service was first seen bound to a node, by the clock that the containers have, too. */
function watchBinding(): { readonly boundAt: Promise<number>; stop(): void } {
  const args = ['get', 'pods', '-n', namespace, '-l', `serving.kserve.io/inferenceservice=${SERVICE}`, '--watch-only', '-o', 'jsonpath={.spec.nodeName}{"\\n"}'];
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

async function measureRound(): Promise<Round> {
  const tiny = await ask(`tiny.${namespace}.${domain}`, '/');
  const watch = watchBinding();
  // The watch is there before what it is to see.
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const askedAt = Date.now();
  const ours = await ask(hostOf(SERVICE), `/v2/models/${SERVICE}/infer`);
  const boundAt = await watch.boundAt;
  watch.stop();
  const [pod] = await pods(SERVICE);
  const name = pod?.metadata.name ?? '';
  const downloadedAt = await logTime(name, 'storage-initializer', '"Downloaded"');
  const serving = await logTime(name, 'kserve-container', '"message":"Serving"');
  const startup = await kubectl('get', '--raw', `/api/v1/namespaces/${namespace}/pods/${name}:8080/proxy/metrics`);
  const listening = Number(/kserve_node_startup_seconds\{phase="listening"\} (\S+)/.exec(startup)?.[1]) * 1000;
  const startedAt = serving - listening;
  const points = [askedAt, boundAt, downloadedAt, startedAt, serving, askedAt + ours * 1000];
  return { tiny, ours, parts: PARTS.map((_, part) => ((points[part + 1] ?? 0) - (points[part] ?? 0)) / 1000) };
}

function report(rounds: readonly Round[]): CaseReport {
  const spread = (of: (round: Round) => number): string => formatSpread(spreadOf(rounds.map(of)), 2);
  const [tiny, ours] = [spreadOf(rounds.map((round) => round.tiny)), spreadOf(rounds.map((round) => round.ours))];
  return {
    title: 'from zero pods to an answer, Knative',
    method:
      `A request to an InferenceService (digits, Knative mode, kserve-node runtime, model downloaded from S3 by \`kserve-node download\`) at zero pods, through ingress, activator and ` +
      `queue-proxy, until its answer; in turn with a busybox httpd without model, download or init container. Images are on the node. ${String(rounds.length)} rounds.`,
    columns: ['', 'seconds'],
    rows: [
      ['busybox httpd', spread((round) => round.tiny)],
      ['kserve-node', spread((round) => round.ours)],
      ...PARTS.map((what, part) => [`· ${what}`, spread((round) => round.parts[part] ?? 0)]),
    ],
    goals: [{ what: 'seconds more than the least container', ratio: ours.median - tiny.median, limit: 1, isAtLeast: false }],
  };
}

const hold = values.hold === undefined ? (part: () => Promise<Round>) => part() : createHold(values.hold);
await prepareServices();
const rounds: Round[] = [];
while (rounds.length < Number(values.rounds)) {
  await eventually('no pod', 180, async () => (await pods(SERVICE)).length + (await tinyPods()).length === 0);
  const round = (await hold(measureRound)) as Round;
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
