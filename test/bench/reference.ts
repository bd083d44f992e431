import { InferenceSession, Tensor } from 'onnxruntime-node';
import { connect, tensor } from '../../src/client/index.ts';
import { createRandom } from '../../src/core/random.ts';
import { post } from './http-call.ts';

/** A model with one FP32 input, one row of it, and what the engine alone makes of that. */
export interface Workload {
  readonly modelName: string;
  /** What the product serves; the model file itself for the others. */
  readonly modelDir: string;
  readonly modelPath: string;
  readonly inputName: string;
  readonly shape: readonly number[];
  readonly row: Float32Array;
  /** By output name. */
  readonly expected: ReadonlyMap<string, readonly number[]>;
}

export async function createWorkload(modelName: string, modelDir: string, modelPath: string, shape: readonly number[]): Promise<Workload> {
  const session = await InferenceSession.create(modelPath, { intraOpNumThreads: 1, interOpNumThreads: 1 });
  const count = shape.reduce((product, dimension) => product * dimension, 1);
  const row = Float32Array.from({ length: count }, createRandom(1));
  const [inputName = ''] = session.inputNames;
  const results = await session.run({ [inputName]: new Tensor('float32', row, [...shape]) });
  const expected = new Map(session.outputNames.map((name) => [name, Array.from(results[name]?.data as Float32Array | BigInt64Array, Number)]));
  await session.release();
  return { modelName, modelDir, modelPath, inputName, shape, row, expected };
}

export type LoadProtocol = 'rest' | 'rest-binary' | 'grpc' | 'grpc-typed' | 'litserve';

/** Throws unless the server gives the engine's own answer to the row: a fast wrong answer is a failed run. */
export async function checkAnswer(url: string, protocol: LoadProtocol, { modelName, inputName, shape, row, expected }: Workload): Promise<void> {
  const got = new Map<string, readonly number[]>();
  if (protocol === 'litserve') {
    const { text } = await post(url, JSON.stringify({ x: [Array.from(row)] }));
    const { outputs } = JSON.parse(text) as { readonly outputs: readonly (readonly unknown[])[] };
    for (const [index, name] of [...expected.keys()].entries()) got.set(name, (outputs[index] ?? []).flat(Infinity) as number[]);
  } else {
    const client = connect(url, { retries: 0, binary: protocol === 'rest-binary' || protocol === 'grpc' });
    try {
      const { outputs } = await client.infer(modelName, { inputs: [tensor(inputName, 'FP32', shape, row)] });
      for (const { name, data } of outputs) got.set(name, Array.from(data as Float32Array | BigInt64Array, Number));
    } finally {
      client.close();
    }
  }
  for (const [name, values] of expected) {
    const found = got.get(name) ?? [];
    const isEqual =
      found.length === values.length &&
      values.every((value, index) => Math.abs(value - (found[index] ?? NaN)) <= 1e-4 * Math.max(1, Math.abs(value)));
    if (!isEqual)
      throw new Error(`Cannot trust ${url} (${protocol}): expected ${name} ${values.slice(0, 5).join(',')}…, got ${found.slice(0, 5).join(',')}…`);
  }
}
