import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../src/bench/free-port.ts';
import { json, startFakePredictor, startFakeSocket } from '../support/fake-predictor.ts';
import { startServerProcess, type ServerProcess } from '../support/server.ts';
import { until } from '../support/until.ts';
import { readVectors } from '../support/vectors.ts';

/** A folder of its own has no node_modules to find the package in. */
const IMPORT = `import { defineHandler } from '${pathToFileURL(join(import.meta.dirname, '../../dist/handler/index.js')).href}';`;

const MODEL = join(import.meta.dirname, '../fixtures/models/digits-mlp');

/** The predictor's own user code: it tells what it has seen, and hangs on request until its client leaves. */
const PREDICTOR_HANDLER = `${IMPORT}
export default defineHandler({
  async preprocess(request, ctx) {
    ctx.responseHeaders['x-seen-trace'] = ctx.headers['traceparent'] ?? 'none';
    ctx.responseHeaders['x-seen-cookie'] = ctx.headers['cookie'] ?? 'none';
    ctx.responseHeaders['x-seen-id'] = ctx.requestId;
    if (ctx.headers['kserve-test'] === 'hang') {
      ctx.log.info({}, 'hanging');
      await new Promise((resolve) => ctx.signal.addEventListener('abort', resolve));
      ctx.log.info({}, 'client has left');
    }
    return request;
  },
});`;

/** Scanner values from 0 to 16 in, a word out. */
const TRANSFORMER_HANDLER = `${IMPORT}
export default defineHandler({
  inputs: [{ name: 'scan', datatype: 'FP32', shape: [-1, 64] }],
  outputs: [{ name: 'says', datatype: 'INT64', shape: [-1] }],
  preprocess(request, ctx) {
    ctx.responseHeaders['x-transformer'] = 'yes';
    const { data, shape } = request.inputs[0];
    return [{ name: 'input', datatype: 'FP32', shape, data: data.map((value) => value / 16) }];
  },
  postprocess(response) {
    const label = response.outputs.find((output) => output.name === 'label');
    return [{ ...label, name: 'says' }];
  },
});`;

const vector = readVectors('digits-mlp').find(({ name }) => name === 'one')!;
const SCAN = {
  inputs: [{ name: 'scan', datatype: 'FP32', shape: [1, 64], data: Array.from(vector.inputs[0]!.data as Float32Array, (value) => value * 16) }],
};
const LABEL = Number((vector.outputs.find(({ name }) => name === 'label')!.data as BigInt64Array)[0]);

let dir: string;
const running: (() => unknown)[] = [];

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'kserve-node-transformer-'));
  writeFileSync(join(dir, 'predictor.mjs'), PREDICTOR_HANDLER);
  writeFileSync(join(dir, 'transformer.mjs'), TRANSFORMER_HANDLER);
});
afterEach(async () => {
  for (const stop of running.splice(0).reverse()) await stop();
});
afterAll(() => {
  rmSync(dir, { recursive: true });
});

async function start(...args: string[]): Promise<ServerProcess> {
  const server = await startServerProcess(args);
  running.push(() => server.stop());
  return server;
}

function startPredictor(): Promise<ServerProcess> {
  return start('--model_name=digits', `--model_dir=${MODEL}`, `--handler=${join(dir, 'predictor.mjs')}`);
}

function startTransformer(host: string, ...flags: string[]): Promise<ServerProcess> {
  return start('--model_name=digits', `--handler=${join(dir, 'transformer.mjs')}`, `--predictor_host=${host}`, ...flags);
}

function infer(server: ServerProcess, headers: Readonly<Record<string, string>> = {}, signal?: AbortSignal): Promise<Response> {
  return fetch(`${server.url}/v2/models/digits/infer`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(SCAN),
    ...(signal === undefined ? {} : { signal }),
  });
}

async function errorOf(response: Response): Promise<string> {
  return ((await response.json()) as { readonly error: string }).error;
}

describe.each(['v1', 'v2', 'grpc-v2'] as const)('a transformer before a predictor over %s', (protocol) => {
  it('answers through both handlers, with headers there and back', async () => {
    const predictor = await startPredictor();
    const host = protocol === 'grpc-v2' ? predictor.grpcAddress : new URL(predictor.url).host;
    const transformer = await startTransformer(host, `--predictor_protocol=${protocol}`);
    const response = await infer(transformer, {
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      cookie: 'a=b',
      'x-request-id': 'trip-1',
    });
    expect(response.status, await response.clone().text()).toBe(200);
    expect(await response.json()).toMatchObject({ outputs: [{ name: 'says', datatype: 'INT64', shape: [1], data: [LABEL] }] });
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'x-transformer': 'yes',
      'x-seen-trace': '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      'x-seen-cookie': 'none',
      'x-seen-id': 'trip-1',
      'x-request-id': 'trip-1',
    });
  });

  it('tells the predictor when its client leaves', async () => {
    const predictor = await startPredictor();
    const host = protocol === 'grpc-v2' ? predictor.grpcAddress : new URL(predictor.url).host;
    const transformer = await startTransformer(host, `--predictor_protocol=${protocol}`);
    const client = new AbortController();
    const answer = infer(transformer, { 'kserve-test': 'hang' }, client.signal).catch(() => 'left');
    await predictor.waitFor(/hanging/);
    client.abort();
    expect(await answer).toBe('left');
    await predictor.waitFor(/client has left/);
    expect((await infer(transformer)).status).toBe(200);
  });

  it('answers 503 naming a predictor that is down, and answers again when it is back', async () => {
    const port = await freePort();
    const transformer = await startTransformer(`127.0.0.1:${port}`, `--predictor_protocol=${protocol}`);
    const down = await infer(transformer);
    expect(down.status).toBe(503);
    expect(await errorOf(down)).toContain(`Cannot reach predictor 127.0.0.1:${port}`);
    const back = await startServerProcess(
      ['--model_name=digits', `--model_dir=${MODEL}`],
      protocol === 'grpc-v2' ? { grpcPort: port } : { httpPort: port },
    );
    running.push(() => back.stop());
    let status = 0;
    let asked: Promise<void> | undefined;
    await until(() => {
      asked ??= infer(transformer).then((response) => {
        status = response.status;
        asked = undefined;
      });
      return status === 200;
    });
    await asked;
  });

  it('answers 504 at the deadline when the predictor says nothing', async () => {
    const silent = await startFakeSocket(() => undefined);
    running.push(() => silent.close());
    const transformer = await startTransformer(silent.host, `--predictor_protocol=${protocol}`, '--predictor_request_timeout_seconds=0.3');
    const started = performance.now();
    const response = await infer(transformer);
    expect(response.status).toBe(504);
    expect(await errorOf(response)).toContain(`Predictor ${silent.host} did not answer within`);
    expect(performance.now() - started).toBeLessThan(10_000);
  });
});

describe('a transformer and its predictor', () => {
  it('is ready only while the predictor is, with --enable_predictor_health_check', async () => {
    let isUp = false;
    const predictor = await startFakePredictor((response) => {
      json(response, isUp ? 200 : 503, { name: 'digits', ready: isUp });
    });
    running.push(() => predictor.close());
    const flags = ['--model_name=digits', `--handler=${join(dir, 'transformer.mjs')}`, `--predictor_host=${predictor.host}`];
    const transformer = await startServerProcess([...flags, '--predictor_protocol=v2', '--enable_predictor_health_check'], { isLoose: true });
    running.push(() => transformer.stop());
    await transformer.waitFor(/predictor .* is not ready/);
    isUp = true;
    await transformer.waitFor(/predictor .* is ready/);
    let ready = 0;
    let asked: Promise<void> | undefined;
    await until(() => {
      asked ??= fetch(`${transformer.url}/v2/health/ready`).then(
        ({ status }) => {
          ready = status;
          asked = undefined;
        },
        () => (asked = undefined),
      );
      return ready === 200;
    });
    await asked;
  });

  it('answers 502 to garbage', async () => {
    const predictor = await startFakePredictor((response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<html>log in</html>'));
    running.push(() => predictor.close());
    const transformer = await startTransformer(predictor.host, '--predictor_protocol=v2');
    const response = await infer(transformer);
    expect(response.status).toBe(502);
    expect(await errorOf(response)).toContain(`Predictor ${predictor.host}: `);
  });

  it('passes everything through without a handler', async () => {
    const predictor = await startPredictor();
    const transformer = await start('--model_name=digits', `--predictor_host=${predictor.grpcAddress}`, '--predictor_protocol=grpc-v2');
    const body = JSON.stringify({
      inputs: [{ ...SCAN.inputs[0], name: vector.inputs[0]!.name, data: Array.from(vector.inputs[0]!.data as Float32Array) }],
    });
    const response = await fetch(`${transformer.url}/v2/models/digits/infer`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    });
    expect(response.status, await response.clone().text()).toBe(200);
    expect(response.headers.get('x-seen-trace')).toBe('none');
    const { outputs } = (await response.json()) as { readonly outputs: readonly { readonly name: string; readonly data: readonly number[] }[] };
    expect(outputs.find(({ name }) => name === 'label')?.data).toEqual([LABEL]);
  });
});
