import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect, tensor } from '../../src/client/index.ts';
import { startServerProcess, type ServerProcess } from '../support/server.ts';
import { modelDir, readVectors } from '../support/vectors.ts';

interface Vector {
  readonly shape: number[];
  readonly data: number[];
}

const VECTORS = JSON.parse(readFileSync(join(modelDir('iris-shap'), 'vectors-explain.json'), 'utf8')) as {
  readonly background: Vector;
  readonly input: Vector;
  readonly shap_values: Vector;
};
const DIGITS = readVectors('digits-mlp').find(({ inputs }) => inputs[0]!.shape[0]! >= 10)!;

let scratch = '';
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'explain-'));
});
afterAll(() => {
  rmSync(scratch, { recursive: true, force: true });
});

function rowsOf({ shape, data }: Vector): number[][] {
  const width = shape[1]!;
  return Array.from({ length: shape[0]! }, (_, row) => data.slice(row * width, (row + 1) * width));
}

function post(server: ServerProcess, path: string, body: unknown, signal?: AbortSignal): Promise<Response> {
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  return fetch(`${server.url}${path}`, signal === undefined ? init : { ...init, signal });
}

function expectReference(got: readonly number[]): void {
  expect(got.length).toBe(VECTORS.shap_values.data.length);
  VECTORS.shap_values.data.forEach((wanted, i) => {
    expect(Math.abs(got[i]! - wanted)).toBeLessThan(1e-6);
  });
}

describe.each(['inline', 'process'])('kernel-shap beside a model %s', (isolation) => {
  let server: ServerProcess;
  beforeAll(async () => {
    const background = join(scratch, `${isolation}.csv`);
    writeFileSync(background, rowsOf(VECTORS.background).join('\n'));
    const args = ['--model_name=iris', `--model_dir=${modelDir('iris-shap')}`, '--explainer=kernel-shap', `--explainer_background=${background}`];
    server = await startServerProcess([...args, `--isolation=${isolation}`]);
  });
  afterAll(async () => {
    expect(await server.stop()).toBe(0);
  });

  it('answers v1 :explain with the values of the reference, one entry per instance', async () => {
    const response = await post(server, '/v1/models/iris:explain', { instances: rowsOf(VECTORS.input) });
    const answer = (await response.json()) as { explanations: { shap_values: number[][]; expected_value: number[]; prediction: number[] }[] };
    expect(response.status).toBe(200);
    expect(answer.explanations.length).toBe(5);
    expectReference(answer.explanations.flatMap((entry) => entry.shap_values.flat()));
    expect(answer.explanations[0]!.expected_value.length).toBe(3);
    expect(answer.explanations[0]!.prediction.length).toBe(3);
  });

  it('answers v2 explain with the values of the reference', async () => {
    const { shape, data } = VECTORS.input;
    const request = { id: 'why', inputs: [{ name: 'X', datatype: 'FP32', shape, data }], outputs: [{ name: 'probabilities' }] };
    const response = await post(server, '/v2/models/iris/explain', request);
    const answer = (await response.json()) as { id: string; outputs: (Vector & { name: string })[]; parameters: object };
    expect(response.status).toBe(200);
    expect(answer).toMatchObject({ id: 'why', parameters: { explainer: 'kernel-shap', exact: true, output: 'probabilities' } });
    expect(answer.outputs.map(({ name, shape: outputShape }) => [name, outputShape])).toEqual([
      ['shap_values', [5, 4, 3]],
      ['expected_value', [5, 3]],
      ['prediction', [5, 3]],
    ]);
    expectReference(answer.outputs[0]!.data);
  });

  it('explains the label too, and refuses what cannot be explained', async () => {
    const { shape, data } = VECTORS.input;
    const inputs = [{ name: 'X', datatype: 'FP32', shape, data }];
    const label = await post(server, '/v2/models/iris/explain', { inputs, parameters: { output: 'label' } });
    expect(await label.json()).toMatchObject({ outputs: [{ name: 'shap_values', shape: [5, 4, 1] }, {}, {}] });
    const refused = await post(server, '/v2/models/iris/explain', { inputs, parameters: { output: 'odds' } });
    expect(refused.status).toBe(400);
    expect(await refused.text()).toContain('Cannot explain output');
  });
});

describe.each(['v1', 'v2', 'grpc-v2'])('kernel-shap before a predictor elsewhere over %s', (protocol) => {
  let predictor: ServerProcess;
  let server: ServerProcess;
  beforeAll(async () => {
    const background = join(scratch, `remote-${protocol}.csv`);
    writeFileSync(background, rowsOf(VECTORS.background).join('\n'));
    predictor = await startServerProcess(['--model_name=iris', `--model_dir=${modelDir('iris-shap')}`]);
    const host = protocol === 'grpc-v2' ? predictor.grpcAddress : new URL(predictor.url).host;
    const args = [
      '--model_name=iris',
      `--predictor_host=${host}`,
      `--predictor_protocol=${protocol}`,
      '--explainer=kernel-shap',
      '--log_format=json',
    ];
    server = await startServerProcess([...args, `--explainer_background=${background}`]);
  });
  afterAll(async () => {
    expect(await server.stop()).toBe(0);
    expect(await predictor.stop()).toBe(0);
  });

  it('answers v1 :explain with the values of the reference', async () => {
    const headers = { 'content-type': 'application/json', 'x-request-id': 'why-v1' };
    const body = JSON.stringify({ instances: rowsOf(VECTORS.input) });
    const response = await fetch(`${server.url}/v1/models/iris:explain`, { method: 'POST', headers, body });
    expect(response.status, await response.clone().text()).toBe(200);
    const answer = (await response.json()) as { explanations: { shap_values: number[][] }[] };
    expectReference(answer.explanations.flatMap((entry) => entry.shap_values.flat()));
  });

  it('answers the parameter explain of gRPC with the values of the reference', async () => {
    const client = connect(`grpc://${server.grpcAddress}`);
    const { shape, data } = VECTORS.input;
    const inputs = [tensor('X', 'FP32', shape, Float32Array.from(data))];
    const answer = await client.infer('iris', { id: 'why-grpc', inputs, parameters: { explain: true } });
    client.close();
    expectReference(Array.from(answer.outputs.find(({ name }) => name === 'shap_values')!.data as Float64Array));
  });

  it('leaves one record for each explanation, with its time, and none for the calls that it took', async () => {
    for (const id of ['why-v1', 'why-grpc']) await server.waitFor(new RegExp(`"requestId":"${id}".*"message":"Answered"`));
    const records = server
      .output()
      .split('\n')
      .filter((line) => line.includes('"message":"Answered"'));
    expect(records.length).toBe(2);
    for (const record of records) {
      expect(JSON.parse(record)).toMatchObject({ model: 'iris', explainMs: expect.any(Number) as number });
      expect((JSON.parse(record) as { explainMs: number }).explainMs).toBeGreaterThan(0);
    }
  });
});

describe('while a long explanation runs on the only slot', () => {
  let server: ServerProcess;
  beforeAll(async () => {
    const background = join(scratch, 'digits.json');
    writeFileSync(background, JSON.stringify([Array.from({ length: 64 }, () => 0.5), Array.from({ length: 64 }, () => -1)]));
    const args = ['--model_name=digits', `--model_dir=${modelDir('digits-mlp')}`, '--instances=1', '--explainer=kernel-shap'];
    server = await startServerProcess([...args, `--explainer_background=${background}`, '--explainer_max_rows=16', '--enable_latency_logging=false']);
  });
  afterAll(async () => {
    expect(await server.stop()).toBe(0);
  });

  const { name, datatype, shape, data } = DIGITS.inputs[0]!;
  const image = { name, datatype, shape: [1, 64], data: Array.from(data as Float32Array).slice(0, 64) };
  const all = { name, datatype, shape, data: Array.from(data as Float32Array) };

  /** Takes minutes; settles when it is left. */
  function explainLong(id: string): { readonly leave: () => Promise<void>; readonly isOver: () => boolean } {
    const client = new AbortController();
    let isOver = false;
    const ended = post(server, '/v2/models/digits/explain', { id, inputs: [all], parameters: { samples: 60_000 } }, client.signal).then(
      () => (isOver = true),
      () => (isOver = true),
    );
    const leave = async (): Promise<void> => {
      client.abort();
      await ended;
    };
    return { leave, isOver: () => isOver };
  }

  const progressOf = (id: string): number => server.output().match(new RegExp(`"requestId":"${id}".*"message":"Explaining"`, 'g'))?.length ?? 0;

  it('predictions are answered at once', async () => {
    const { leave, isOver } = explainLong('behind');
    await server.waitFor(/"requestId":"behind".*"message":"Explaining"/);
    for (let i = 0; i < 20; i++) expect((await post(server, '/v2/models/digits/infer', { inputs: [image] })).status).toBe(200);
    expect(isOver()).toBe(false);
    await leave();
  });

  it('a client that leaves ends its explanation', async () => {
    const left = explainLong('left');
    await server.waitFor(/"requestId":"left".*"message":"Explaining"/);
    await left.leave();
    const before = progressOf('left');
    // Two lines of another one are at least a second apart: time in which the first would have written, too.
    const right = explainLong('right');
    await server.waitFor(/"requestId":"right".*"message":"Explaining"[^]*"requestId":"right".*"message":"Explaining"/);
    await right.leave();
    expect(progressOf('left')).toBe(before);
  });
});

it('kernel-shap without a background is refused at start-up', async () => {
  const server = await startServerProcess([`--model_dir=${modelDir('iris-shap')}`, '--explainer=kernel-shap'], { isLoose: true });
  expect(await server.exit).not.toBe(0);
  expect(server.output()).toContain('--explainer_background: expected a file');
});
