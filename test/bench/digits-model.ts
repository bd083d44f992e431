import { readFileSync } from 'node:fs';

/** Model, request and right answer of the digits benchmarks. */
export const DIGITS = { modelName: 'digits', modelDir: 'examples/digits/model', modelPath: 'examples/digits/model/model.onnx' };
export const INFER_PATH = `/v2/models/${DIGITS.modelName}/infer`;

interface VectorTensor {
  readonly name: string;
  readonly data: readonly number[];
}

const root = new URL('../../', import.meta.url);
export const DIGITS_BODY = readFileSync(new URL('examples/digits/request.json', root), 'utf8').trim();
const vectors = JSON.parse(readFileSync(new URL('test/fixtures/models/digits-mlp/vectors.json', root), 'utf8')) as {
  readonly cases: readonly { readonly name: string; readonly outputs: readonly VectorTensor[] }[];
};

/** Throws unless the server gives the reference answer: a fast wrong answer is a failed run. */
export async function checkDigitsAnswer(url: string): Promise<void> {
  const response = await fetch(url + INFER_PATH, { method: 'POST', headers: { 'content-type': 'application/json' }, body: DIGITS_BODY });
  const text = await response.text();
  if (!isDigitsAnswer(text)) throw new Error(`Cannot trust ${url}: expected the reference answer, got ${text.slice(0, 500)}`);
}

/** Whether a JSON answer says what the reference does. */
export function isDigitsAnswer(text: string): boolean {
  const { outputs } = JSON.parse(text) as { readonly outputs: readonly VectorTensor[] };
  const reference = vectors.cases.find((one) => one.name === 'one')?.outputs ?? [];
  return reference.every(({ name, data }) => {
    const got = outputs.find((output) => output.name === name)?.data ?? [];
    return got.length === data.length && data.every((value, index) => Math.abs(value - (got[index] ?? NaN)) <= 1e-5);
  });
}
