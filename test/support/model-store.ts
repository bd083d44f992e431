import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { MAIN, startServerProcess, type ServerProcess } from './server.ts';
import { BUCKET, S3 } from './storage-dialects.ts';
import { StorageServer } from './storage-server.ts';
import { modelDir } from './vectors.ts';

export const MODEL = readFileSync(join(modelDir('iris-shap'), 'model.onnx'));
export const OTHER_MODEL = readFileSync(join(modelDir('sklearn-logreg'), 'model.onnx'));
export const BROKEN_MODEL = Buffer.from('this is no model');
export const MODEL_URI = `s3://${BUCKET}/m`;

export interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** A store that holds version 1 of a model at `s3://models/m`, and processes that are served from it. */
class ModelStore {
  readonly store = new StorageServer(S3);
  /** Holds `tmp`, the processes' directory for temporary files, and `cache`. */
  dir = '';
  #env: Record<string, string> = {};
  #running: ServerProcess[] = [];

  async start(): Promise<void> {
    const endpoint = await this.store.start();
    this.#env = { AWS_ENDPOINT_URL: endpoint, AWS_ACCESS_KEY_ID: 'id', AWS_SECRET_ACCESS_KEY: 'secret', AWS_DEFAULT_REGION: 'us-east-1' };
  }

  async stop(): Promise<void> {
    await this.store.stop();
  }

  /** Before each test. */
  reset(): void {
    this.store.reset();
    this.dir = mkdtempSync(join(tmpdir(), 'kserve-node-uri-'));
    mkdirSync(join(this.dir, 'tmp'));
    this.put({ 'm/1/model.onnx': MODEL });
  }

  /** After each test. */
  clean(): void {
    for (const server of this.#running) server.process.kill('SIGKILL');
    this.#running = [];
    rmSync(this.dir, { recursive: true, force: true });
  }

  put(objects: Readonly<Record<string, Buffer>>): void {
    for (const [key, bytes] of Object.entries(objects)) this.store.objects.set(key, bytes);
  }

  get cacheFlag(): string {
    return `--model_cache=${join(this.dir, 'cache')}`;
  }

  /** Serves the model of the store, or of the place that is named, as `iris`. */
  async serve(flags: readonly string[] = [], options: { readonly modelDir?: string; readonly isLoose?: boolean } = {}): Promise<ServerProcess> {
    const { modelDir: from = MODEL_URI, ...rest } = options;
    const env = { ...this.#env, TMPDIR: join(this.dir, 'tmp') };
    const server = await startServerProcess([`--model_dir=${from}`, '--model_name=iris', ...flags], { ...rest, env });
    this.#running.push(server);
    return server;
  }

  async run(args: readonly string[]): Promise<Ended> {
    const env = { PATH: process.env['PATH'] ?? '', ...this.#env, TMPDIR: join(this.dir, 'tmp') };
    const child = spawn(process.execPath, [MAIN, ...args], { env });
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    const [code] = (await once(child, 'close')) as [number];
    return { code, out, err };
  }

  /** A start that ends by itself, and what it wrote that is no record of the log. */
  async refused(flags: readonly string[]): Promise<{ readonly code: number; readonly lines: readonly string[] }> {
    const { code, err } = await this.run(['serve', '--http_port=0', '--grpc_port=0', ...flags]);
    return { code, lines: err.split('\n').filter((line) => line !== '' && !line.startsWith('{')) };
  }

  /** All that lies in the directory of temporary files and in the cache, except for the folders that a cache always has. */
  leftovers(): string[] {
    return this.#everything().filter(
      (path) => !/^(cache|tmp)(\/kserve-node-\d+(\/(entries|staging|locks|uses))?)?$/.test(path) && !path.includes('node-compile-cache'),
    );
  }

  /** A folder that the server removes while it is listed makes the listing begin anew. */
  #everything(attempts = 100): string[] {
    try {
      return readdirSync(this.dir, { recursive: true, encoding: 'utf8' });
    } catch (error) {
      if (attempts === 0 || (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      return this.#everything(attempts - 1);
    }
  }

  entriesOfCache(): string[] {
    const [user = ''] = readdirSync(join(this.dir, 'cache'));
    const entries = join(this.dir, 'cache', user, 'entries');
    return readdirSync(entries).map((key) => join(entries, key));
  }
}

/** The store of a test file, as new for each test. */
export function openModelStore(): ModelStore {
  const models = new ModelStore();
  beforeAll(() => models.start());
  afterAll(() => models.stop());
  beforeEach(() => {
    models.reset();
  });
  afterEach(() => {
    models.clean();
  });
  return models;
}

/** Status of a prediction. */
export async function predict(server: ServerProcess): Promise<number> {
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ instances: [[5.1, 3.5, 1.4, 0.2]] }) };
  const response = await fetch(`${server.url}/v1/models/iris:predict`, init);
  await response.arrayBuffer();
  return response.status;
}

/** Of the only model, such as `2 READY`. */
export async function versionOf(server: ServerProcess): Promise<string> {
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' };
  const index = (await (await fetch(`${server.url}/v2/repository/index`, init)).json()) as { readonly version: string; readonly state: string }[];
  return index.map(({ version, state }) => `${version} ${state}`).join();
}
