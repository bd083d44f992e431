import { post } from './http-call.ts';

/** A loop of small nodes, as long as its input `iterations` says. */
export const SLOW = { modelName: 'slow-chain', modelDir: 'test/fixtures/models/slow-chain', inferPath: '/v2/models/slow-chain/infer' };

const FIRST_ITERATIONS = 20_000;
const CALIBRATION_MS = 500;

/** The request that computes for about so many milliseconds on this server. Throws when the server does not answer. */
export async function slowBody(url: string, milliseconds: number): Promise<string> {
  let iterations = FIRST_ITERATIONS;
  // The first, short run tells little about a long one: a second corrects it.
  for (const targetMs of [CALIBRATION_MS, milliseconds]) {
    const start = performance.now();
    const { status, text } = await post(url + SLOW.inferPath, bodyOf(iterations));
    if (status !== 200) throw new Error(`Cannot measure: ${SLOW.modelName} answered ${status} ${text.slice(0, 200)}`);
    iterations = Math.ceil((iterations * targetMs) / (performance.now() - start));
  }
  return bodyOf(iterations);
}

function bodyOf(iterations: number): string {
  const x = { name: 'x', datatype: 'FP32', shape: [1, 8], data: Array.from({ length: 8 }, () => 0.5) };
  return JSON.stringify({ inputs: [x, { name: 'iterations', datatype: 'INT64', shape: [], data: [iterations] }] });
}
