import { execFile, spawn } from 'node:child_process';
import { promisify } from 'node:util';

/** Parts of what the API server keeps that the suites look at. */
export interface KubernetesObject {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly creationTimestamp?: string; readonly deletionTimestamp?: string };
  readonly status?: Readonly<Record<string, unknown>>;
}

export interface Pod extends KubernetesObject {
  readonly status?: {
    readonly phase?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly lastTransitionTime: string }[];
    readonly initContainerStatuses?: readonly ContainerStatus[];
    readonly containerStatuses?: readonly ContainerStatus[];
  };
}

interface ContainerStatus {
  readonly name: string;
  readonly ready: boolean;
  readonly restartCount: number;
  readonly state?: {
    readonly running?: { readonly startedAt: string };
    readonly terminated?: { readonly startedAt: string; readonly finishedAt: string };
  };
}

const run = promisify(execFile);

/** Runs kubectl with the environment's KUBECONFIG; resolves with stdout, rejects with what it wrote to stderr. */
export async function kubectl(...args: readonly string[]): Promise<string> {
  const { stdout } = await run('kubectl', args, { maxBuffer: 64 * 1024 * 1024, timeout: 300_000 });
  return stdout;
}

/** Server-side apply with strict validation; conflicts of field managers are errors, as they are for every other applier. */
export function apply(yaml: string, ...args: readonly string[]): Promise<string> {
  return kubectlWithInput(yaml, 'apply', '--server-side', '--validate=strict', '-f', '-', ...args);
}

export async function list<T extends KubernetesObject>(resource: string, ...args: readonly string[]): Promise<readonly T[]> {
  const { items } = JSON.parse(await kubectl('get', resource, '-o', 'json', ...args)) as { readonly items: readonly T[] };
  return items;
}

function kubectlWithInput(input: string, ...args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn('kubectl', args, { stdio: ['pipe', 'pipe', 'pipe'], timeout: 300_000 });
    let output = '';
    let problems = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (problems += chunk.toString()));
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve(output);
      else reject(new Error(`kubectl ${args.join(' ')}: ${problems.trim()}`));
    });
    // One that ends early says why.
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
  });
}
