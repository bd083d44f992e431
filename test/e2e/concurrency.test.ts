import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect, tensor, type InferenceClient } from '../../src/client/index.ts';
import { startServerProcess, type ServerProcess } from '../support/server.ts';

const CLIENTS = 16;
const REQUESTS_EACH = 200;
/** Rows of four numbers: from a few bytes to more than small tensors share. */
const ROWS = [1, 3, 17, 64, 120, 1500, 20_000];

/** Numbers that no other request has, exact in FP32. */
function numbersOf(client: number, request: number, rows: number): Float32Array {
  return Float32Array.from({ length: 4 * rows }, (_, index) => client * 100_000 + request * 200 + (index % 199));
}

describe.each(['inline', 'process'])('requests side by side, with --isolation=%s', (isolation) => {
  let server: ServerProcess;
  let json: InferenceClient;
  let binary: InferenceClient;

  beforeAll(async () => {
    const model = join(import.meta.dirname, '../fixtures/identity/identity-fp32');
    server = await startServerProcess([
      '--model_name=identity',
      `--model_dir=${model}`,
      `--isolation=${isolation}`,
      '--enable_latency_logging=false',
    ]);
    json = connect(server.url, { retries: 0, binary: false });
    binary = connect(server.url, { retries: 0 });
  });
  afterAll(async () => {
    json.close();
    binary.close();
    expect(await server.stop()).toBe(0);
  });

  it('get their own numbers back, every one of them', async () => {
    const { inputs, outputs } = await json.modelMetadata('identity');
    const [input, output] = [inputs[0]!.name, outputs[0]!.name];
    let wrong = 0;
    const work = async (client: number): Promise<void> => {
      for (let request = 0; request < REQUESTS_EACH; request++) {
        // Long ones now and then: each takes as long as a hundred short ones.
        const rows = ROWS[request % 50 === 49 ? (client + request) % ROWS.length : (client + request) % 5]!;
        const sent = numbersOf(client, request, rows);
        const inference = { inputs: [tensor(input, 'FP32', [rows, 4], sent.slice())] };
        const answer = await ((client + request) % 4 === 0 ? binary : json).infer('identity', inference);
        const received = answer.output(output, 'FP32');
        if (received.length !== sent.length || received.some((value, index) => value !== sent[index])) wrong++;
      }
    };
    await Promise.all(Array.from({ length: CLIENTS }, (_, client) => work(client)));
    expect(wrong).toBe(0);
  });
});
