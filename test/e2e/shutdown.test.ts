import { Agent, request } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { connect } from '../../src/client/index.ts';
import { startServerProcess, type ServerProcess } from '../support/server.ts';
import { until } from '../support/until.ts';
import { modelDir, readVectors } from '../support/vectors.ts';

let server: ServerProcess | undefined;
afterEach(() => {
  server?.process.kill('SIGKILL');
});

const vector = readVectors('digits-mlp').find(({ name }) => name === 'one')!;
const BODY = JSON.stringify({
  inputs: [{ name: 'input', datatype: 'FP32', shape: [1, 64], data: Array.from(vector.inputs[0]!.data as Float32Array) }],
});

type Result = 'answered' | 'refused' | `failed: ${string}`;

/** One POST; `refused` means that no connection could be made, so the server never had the request. */
function infer(url: string, agent: Agent): Promise<Result> {
  return new Promise((resolve) => {
    let isConnected = false;
    const call = request(`${url}/v2/models/digits/infer`, { method: 'POST', agent, headers: { 'content-type': 'application/json' } }, (reply) => {
      let text = '';
      reply.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      reply.once('end', () => {
        resolve(reply.statusCode === 200 && text.includes('"label"') ? 'answered' : `failed: ${String(reply.statusCode)} ${text}`);
      });
      reply.once('error', (error) => {
        resolve(`failed: ${error.message}`);
      });
    });
    call.once('socket', (socket) => {
      if (!socket.connecting) isConnected = true;
      else socket.once('connect', () => (isConnected = true));
    });
    call.once('error', (error) => {
      resolve(isConnected ? `failed: ${error.message}` : 'refused');
    });
    call.end(BODY);
  });
}

describe.each(['inline', 'process'])('SIGTERM with --isolation=%s', (isolation) => {
  it('loses no request of 32 concurrent clients, closes and exits with 0', async () => {
    server = await startServerProcess([
      `--model_dir=${modelDir('digits-mlp')}`,
      '--model_name=digits',
      `--isolation=${isolation}`,
      '--lame_duck_seconds=1',
    ]);
    const { url } = server;
    let answered = 0;
    const failures: string[] = [];
    const loops = Array.from({ length: 32 }, async () => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      for (;;) {
        const result = await infer(url, agent);
        if (result === 'answered') answered++;
        else if (result === 'refused') break;
        else failures.push(result);
        if (failures.length > 100) break;
      }
      agent.destroy();
    });
    await until(() => answered >= 500);
    const before = answered;
    server.process.kill('SIGTERM');
    await Promise.all(loops);
    expect(failures).toEqual([]);
    expect(answered).toBeGreaterThan(before);
    expect(await server.exit).toBe(0);
  });
});

describe('SIGTERM', () => {
  it('tells that it is not ready while requests are still answered, with Connection: close', async () => {
    server = await startServerProcess([`--model_dir=${modelDir('digits-mlp')}`, '--model_name=digits', '--lame_duck_seconds=2']);
    server.process.kill('SIGTERM');
    await server.waitFor(/lame.?duck|shutting down|draining/i);
    expect((await fetch(`${server.url}/v2/health/ready`)).status).toBe(503);
    expect((await fetch(`${server.url}/v2/health/live`)).status).toBe(200);
    const reply = await fetch(`${server.url}/v2/models/digits/infer`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: BODY,
    });
    expect([reply.status, reply.headers.get('connection')]).toEqual([200, 'close']);
    expect(await server.exit).toBe(0);
  });

  it('lets gRPC requests under way finish', async () => {
    server = await startServerProcess([`--model_dir=${modelDir('digits-mlp')}`, '--model_name=digits', '--lame_duck_seconds=1']);
    const client = connect(`grpc://${server.grpcAddress}`, { retries: 0 });
    let answered = 0;
    let isTold = false;
    const failures: string[] = [];
    const loops = Array.from({ length: 8 }, async () => {
      for (;;) {
        try {
          await client.infer('digits', { inputs: vector.inputs });
          answered++;
        } catch (error) {
          // Once the port is closed a call fails as UNAVAILABLE: it was never accepted.
          if (!isTold || !/unavailable/i.test(`${String((error as { reason?: string }).reason)} ${(error as Error).message}`))
            failures.push(String(error));
          return;
        }
      }
    });
    await until(() => answered >= 100);
    isTold = true;
    server.process.kill('SIGTERM');
    await Promise.all(loops);
    client.close();
    expect(failures).toEqual([]);
    expect(await server.exit).toBe(0);
  });

  it('ends at once on the second signal', async () => {
    server = await startServerProcess([`--model_dir=${modelDir('digits-mlp')}`, '--lame_duck_seconds=20']);
    server.process.kill('SIGTERM');
    await server.waitFor(/lame.?duck|shutting down|draining/i);
    server.process.kill('SIGTERM');
    expect(await server.exit).toBe(143);
  });
});
