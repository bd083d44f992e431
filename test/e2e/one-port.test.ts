import http2 from 'node:http2';
import { afterEach, describe, expect, it } from 'vitest';
import { freePort } from '../../src/bench/free-port.ts';
import { connect } from '../../src/client/index.ts';
import { encodeModelInferRequest } from '../../src/codec/index.ts';
import { startServerProcess, type ServerProcess } from '../support/server.ts';
import { until } from '../support/until.ts';
import { modelDir, readVectors } from '../support/vectors.ts';

let server: ServerProcess | undefined;
afterEach(() => {
  server?.process.kill('SIGKILL');
});

const vector = readVectors('digits-mlp').find(({ name }) => name === 'one')!;
const JSON_BODY = JSON.stringify({
  inputs: [{ name: 'input', datatype: 'FP32', shape: [1, 64], data: Array.from(vector.inputs[0]!.data as Float32Array) }],
});
const MESSAGE = encodeModelInferRequest({ modelName: 'digits', inputs: vector.inputs }, { raw: true });
const FRAME = Buffer.concat([Buffer.from([0, 0, 0, MESSAGE.length >> 8, MESSAGE.length & 255]), MESSAGE]);

async function start(args: readonly string[] = []): Promise<ServerProcess> {
  const port = await freePort();
  server = await startServerProcess([`--model_dir=${modelDir('digits-mlp')}`, '--model_name=digits', `--port=${String(port)}`, ...args], {
    httpPort: port,
  });
  return server;
}

interface Answer {
  readonly status: string;
  readonly body: Buffer;
}

/** `200` for REST, `grpc 0` for a call. */
function send(session: http2.ClientHttp2Session, kind: 'REST' | 'gRPC'): Promise<Answer> {
  const isCall = kind === 'gRPC';
  const stream = session.request({
    ':method': 'POST',
    ':path': isCall ? '/inference.GRPCInferenceService/ModelInfer' : '/v2/models/digits/infer',
    'content-type': isCall ? 'application/grpc' : 'application/json',
  });
  stream.end(isCall ? FRAME : JSON_BODY);
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let status = '';
    stream.on('response', (headers) => (status = String(headers[':status'])));
    stream.on('trailers', (trailers: http2.IncomingHttpHeaders) => (status = `grpc ${String(trailers['grpc-status'])}`));
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', reject);
    stream.on('close', () => {
      resolve({ status, body: Buffer.concat(chunks) });
    });
  });
}

describe('--port', () => {
  it('serves HTTP/1.1, and REST and gRPC on one HTTP/2 connection at the same time', async () => {
    const { url } = await start();
    const port = new URL(url).port;
    await server?.waitFor(new RegExp(`"grpcUrl":"grpc://127.0.0.1:${port}"`));
    const session = http2.connect(url);
    const kinds = Array.from({ length: 200 }, (_, index) => (index % 2 === 0 ? ('REST' as const) : ('gRPC' as const)));
    const [answers, overHttp1] = await Promise.all([
      Promise.all(kinds.map((kind) => send(session, kind))),
      fetch(`${url}/v2/models/digits/infer`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON_BODY }),
    ]);
    const expected = (await overHttp1.json()) as { outputs: unknown };
    answers.forEach(({ status, body }, index) => {
      if (kinds[index] === 'gRPC') expect([status, body.includes('label')]).toEqual(['grpc 0', true]);
      else expect([status, JSON.parse(body.toString())]).toEqual(['200', expect.objectContaining({ outputs: expected.outputs })]);
    });
    session.close();
  });

  it('loses no request of mixed clients at SIGTERM and exits with 0', async () => {
    const { url, process, exit } = await start(['--lame_duck_seconds=1']);
    const host = new URL(url).host;
    const failures: string[] = [];
    let answered = 0;
    let isTold = false;
    /** What was refused as the server went away was never begun, and clients send it elsewhere. */
    const isRefusal = (error: unknown): boolean => isTold && /unavailable|ECONNREFUSED|ECONNRESET|REFUSED_STREAM|GOAWAY/i.test(describeError(error));
    const clients = [connect(`grpc://${host}`, { retries: 0 }), connect(`http://${host}`, { retries: 0 })];
    const loops = clients.flatMap((client) =>
      Array.from({ length: 4 }, async () => {
        for (;;) {
          try {
            await client.infer('digits', { inputs: vector.inputs });
            answered++;
          } catch (error) {
            if (!isRefusal(error)) failures.push(describeError(error));
            return;
          }
        }
      }),
    );
    const overHttp2 = Array.from({ length: 2 }, async (_, index) => {
      const session = http2.connect(url).on('error', () => undefined);
      const isLeaving = (): boolean => session.closed;
      while (!isLeaving()) {
        const { status } = await send(session, index === 0 ? 'REST' : 'gRPC');
        if (status === '200' || status === 'grpc 0') answered++;
        else if (!isLeaving()) failures.push(`HTTP/2: ${status}`);
      }
      session.close();
    });
    await until(() => answered >= 500);
    isTold = true;
    process.kill('SIGTERM');
    const settled = await Promise.allSettled([...loops, ...overHttp2]);
    for (const result of settled) if (result.status === 'rejected' && !isRefusal(result.reason)) failures.push(describeError(result.reason));
    for (const client of clients) client.close();
    expect(failures).toEqual([]);
    expect(await exit).toBe(0);
  });

  it('is taken: the message names the option', async () => {
    const { url } = await start();
    const { port } = new URL(url);
    const second = await startServerProcess([`--model_dir=${modelDir('digits-mlp')}`, `--port=${port}`], { isLoose: true });
    expect(await second.exit).toBe(2);
    expect(second.output()).toContain('the port is in use, choose another --port');
  });

  it('with --enable_grpc=false serves REST alone', async () => {
    const { url } = await start(['--enable_grpc=false']);
    const session = http2.connect(url);
    expect((await send(session, 'REST')).status).toBe('200');
    expect((await send(session, 'gRPC')).status).toBe('404');
    session.close();
  });
});

function describeError(error: unknown): string {
  return error instanceof Error ? `${String((error as { reason?: string }).reason)} ${error.message} ${String(error.cause)}` : String(error);
}
