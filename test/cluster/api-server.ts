import { spawn, type ChildProcess } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as passed } from 'node:timers/promises';

/** An etcd and a kube-apiserver of a test's own: no controllers, no nodes. What is applied is checked, defaulted and stored, and stays as it is. */
export interface ApiServer {
  readonly kubeconfig: string;
  stop(): Promise<void>;
}

const START_TIMEOUT_MS = 120_000;

/** `assets` holds the programs etcd and kube-apiserver, as KUBEBUILDER_ASSETS does. */
export async function startApiServer(assets: string): Promise<ApiServer> {
  const dir = mkdtempSync(join(tmpdir(), 'kserve-node-cluster-'));
  const [client, peer, port] = [await freePort(), await freePort(), await freePort()];
  const token = randomBytes(16).toString('hex');
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const key = join(dir, 'accounts.key');
  writeFileSync(key, privateKey.export({ type: 'pkcs1', format: 'pem' }));
  writeFileSync(join(dir, 'tokens.csv'), `${token},admin,admin,system:masters\n`);
  const url = (of: number): string => `http://127.0.0.1:${String(of)}`;
  const programs = [
    startProgram(dir, join(assets, 'etcd'), [
      `--data-dir=${join(dir, 'etcd')}`,
      '--unsafe-no-fsync',
      '--log-level=warn',
      `--listen-client-urls=${url(client)}`,
      `--advertise-client-urls=${url(client)}`,
      `--listen-peer-urls=${url(peer)}`,
      `--initial-advertise-peer-urls=${url(peer)}`,
      `--initial-cluster=default=${url(peer)}`,
    ]),
    startProgram(dir, join(assets, 'kube-apiserver'), [
      `--etcd-servers=${url(client)}`,
      '--bind-address=127.0.0.1',
      `--secure-port=${String(port)}`,
      `--cert-dir=${join(dir, 'certificates')}`,
      `--token-auth-file=${join(dir, 'tokens.csv')}`,
      `--service-account-key-file=${key}`,
      `--service-account-signing-key-file=${key}`,
      '--service-account-issuer=https://kubernetes.default.svc',
      '--service-cluster-ip-range=10.96.0.0/16',
      '--authorization-mode=RBAC',
      // Nobody makes the accounts that pods would need.
      '--disable-admission-plugins=ServiceAccount',
    ]),
  ];
  const kubeconfig = join(dir, 'kubeconfig');
  writeFileSync(kubeconfig, kubeconfigOf(`https://127.0.0.1:${String(port)}`, token), { mode: 0o600 });
  const stop = async (): Promise<void> => {
    for (const program of programs.toReversed()) await end(program.child);
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    await isReady(port, programs);
  } catch (error) {
    await stop();
    throw error;
  }
  return { kubeconfig, stop };
}

interface Program {
  readonly child: ChildProcess;
  readonly log: string;
}

function startProgram(dir: string, path: string, args: readonly string[]): Program {
  if (!existsSync(path)) throw new Error(`Cannot start an API server: no such program: ${path}`);
  const log = join(dir, `${path.split('/').at(-1) ?? ''}.log`);
  const file = openSync(log, 'w');
  const child = spawn(path, args, { stdio: ['ignore', file, file] });
  closeSync(file);
  return { child, log };
}

async function isReady(port: number, programs: readonly Program[]): Promise<void> {
  const deadline = performance.now() + START_TIMEOUT_MS;
  // The certificate is one that the server made for itself a moment ago.
  const { request } = await import('node:https');
  const ask = (): Promise<number> =>
    new Promise((resolve) => {
      const get = request({ host: '127.0.0.1', port, path: '/readyz', rejectUnauthorized: false, timeout: 5000 }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      get.once('timeout', () => get.destroy());
      get.once('error', () => {
        resolve(0);
      });
      get.end();
    });
  while ((await ask()) !== 200) {
    const ended = programs.find(({ child }) => child.exitCode !== null || child.signalCode !== null);
    if (ended !== undefined) throw new Error(`${ended.log}: ended early:\n${readFileSync(ended.log, 'utf8').slice(-2000)}`);
    if (performance.now() > deadline) throw new Error(`The API server is not ready after ${String(START_TIMEOUT_MS / 1000)} s`);
    await passed(200);
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const late = setTimeout(() => child.kill('SIGKILL'), 10_000);
  await ended;
  clearTimeout(late);
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function kubeconfigOf(server: string, token: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster: { server, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'admin', user: { token } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'admin' } }],
    'current-context': 'test',
  });
}
