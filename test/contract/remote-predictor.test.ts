import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../src/bench/free-port.ts';
import { numberToFloat16 } from '../../src/core/float16.ts';
import { StopSource } from '../../src/core/stop-signal.ts';
import { bytesFromElements } from '../../src/core/tensor-bytes.ts';
import type { Tensor } from '../../src/core/tensor.ts';
import { json, startFakeSocket, type Behaviour } from '../support/fake-predictor.ts';
import { createTemporaryRepository, type TemporaryRepository } from '../support/model-repository.ts';
import { startServerProcess, type ServerProcess } from '../support/server.ts';
import { until } from '../support/until.ts';
import { readVectors } from '../support/vectors.ts';
import { closing, failureOf, fake, hop, ONE, open, outputOf, PROTOCOLS, requestOf } from './remote-predictor-hop.ts';

describe.each(PROTOCOLS)('a predictor of our own over %s', (protocol) => {
  let repository: TemporaryRepository;
  let server: ServerProcess;
  const hostOf = (): string => (protocol === 'grpc-v2' ? server.grpcAddress : new URL(server.url).host);

  beforeAll(async () => {
    const identities = ['fp16', 'bf16', 'bytes', 'int64', 'fp32'].map((type) => [type, `identity/identity-${type}`] as const);
    repository = createTemporaryRepository({ digits: 'models/digits-mlp', ...Object.fromEntries(identities) });
    server = await startServerProcess([`--model_dir=${repository.dir}`]);
  });
  afterAll(async () => {
    await server.stop();
    repository.remove();
  });

  it('answers as the model does', async () => {
    const remote = await open(hostOf(), protocol, {}, 'digits');
    const vector = readVectors('digits-mlp').find(({ name }) => name === 'batch-20')!;
    const response = await remote.infer(requestOf(...vector.inputs), hop());
    const want = vector.outputs.find(({ name }) => name === 'label')!;
    expect(outputOf(response, 'label')).toMatchObject({ datatype: 'INT64', shape: [20], data: want.data });
  });

  it('tells metadata, where the protocol has them, and readiness', async () => {
    const remote = await open(hostOf(), protocol, {}, 'digits');
    expect(await remote.isReady()).toBe(true);
    const metadata = await remote.metadata();
    if (protocol === 'v1') expect(metadata).toBeUndefined();
    else expect(metadata).toMatchObject({ platform: 'onnx_onnxv1', inputs: [{ datatype: 'FP32', shape: [-1, 64] }] });
    expect(await (await open(hostOf(), protocol, {}, 'nobody')).isReady()).toBe(false);
  });

  // v1 has no datatypes to carry.
  const itCarries = protocol === 'v1' ? undefined : it;
  itCarries?.('carries FP16, BF16, BYTES and INT64 bit for bit', async () => {
    const tensors: Readonly<Record<string, Omit<Tensor, 'name'>>> = {
      fp16: { datatype: 'FP16', shape: [1, 4], data: Uint16Array.of(numberToFloat16(0.5), numberToFloat16(-65504), 0x7e00, 1) },
      bf16: { datatype: 'BF16', shape: [1, 4], data: Uint16Array.of(0x3f80, 0x7f80, 0xff80, 1) },
      bytes: { datatype: 'BYTES', shape: [1, 4], data: bytesFromElements([Buffer.of(0, 255), Buffer.of(), Buffer.from('ä'), Buffer.of(10)]) },
      int64: { datatype: 'INT64', shape: [1, 4], data: BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n, 0n, -1n) },
    };
    for (const [model, tensor] of Object.entries(tensors)) {
      const remote = await open(hostOf(), protocol, {}, model);
      const input = (await remote.metadata())!.inputs[0]!;
      const response = await remote.infer(requestOf({ name: input.name, ...tensor }), hop());
      expect(response.outputs[0], model).toMatchObject(tensor);
    }
  });

  it('gives back what the predictor refuses, with its own words', async () => {
    const remote = await open(hostOf(), protocol, {}, 'digits');
    const error = await failureOf(remote.infer(requestOf({ name: 'input', datatype: 'FP32', shape: [1, 3], data: new Float32Array(3) }), hop()));
    expect(error.reason).toBe('invalid_request');
    expect(error.message).toMatch(/^Cannot/);
  });

  it('tells of a model that is not there', async () => {
    const remote = await open(hostOf(), protocol, {}, 'nobody');
    expect(await failureOf(remote.infer(ONE, hop()))).toMatchObject({
      reason: 'model_not_found',
      message: 'Model with name nobody does not exist.',
    });
  });
});

describe.each(PROTOCOLS)('a predictor that is not there, over %s', (protocol) => {
  it('is told of with its host, at once', async () => {
    const host = `127.0.0.1:${await freePort()}`;
    const remote = await open(host, protocol);
    const error = await failureOf(remote.infer(ONE, hop()));
    expect(error.reason).toBe('model_not_ready');
    expect(error.message).toContain(`Cannot reach predictor ${host}: `);
    expect(error.message).toContain('ECONNREFUSED');
    expect([await remote.isReady(), await remote.metadata()]).toEqual([false, undefined]);
  });

  it('is told of when its name is unknown', async () => {
    const remote = await open('digits-predictor.nowhere.invalid', protocol);
    const error = await failureOf(remote.infer(ONE, hop()));
    expect(error).toMatchObject({ reason: 'model_not_ready', message: expect.stringContaining('digits-predictor.nowhere.invalid') as string });
  });

  it('fails at the deadline when it takes the connection and says nothing', async () => {
    const silent = await startFakeSocket(() => undefined);
    closing.push(() => silent.close());
    const remote = await open(silent.host, protocol);
    const started = performance.now();
    const error = await failureOf(remote.infer(ONE, hop({ deadline: started + 150 })));
    expect(error.reason).toBe('deadline_exceeded');
    expect(error.message).toContain(`Predictor ${silent.host} did not answer within`);
    expect(performance.now() - started).toBeLessThan(5000);
  });

  it('fails when it closes every connection', async () => {
    const rude = await startFakeSocket((socket) => socket.destroy());
    closing.push(() => rude.close());
    const remote = await open(rude.host, protocol);
    expect((await failureOf(remote.infer(ONE, hop({ deadline: performance.now() + 5000 })))).reason).toBe('model_not_ready');
  });

  it('fails when it speaks another protocol', async () => {
    const garbage = await startFakeSocket((socket) => socket.end('SSH-2.0-OpenSSH_9\r\n'));
    closing.push(() => garbage.close());
    const remote = await open(garbage.host, protocol);
    const error = await failureOf(remote.infer(ONE, hop({ deadline: performance.now() + 5000 })));
    expect(error.reason).toBe(protocol === 'grpc-v2' ? 'model_not_ready' : 'upstream_failed');
  });

  it('is not asked when the request has ended already', async () => {
    const silent = await startFakeSocket(() => undefined);
    closing.push(() => silent.close());
    const remote = await open(silent.host, protocol);
    const gone = new StopSource();
    gone.abort('left');
    expect((await failureOf(remote.infer(ONE, hop({ signal: gone })))).reason).toBe('cancelled');
    expect((await failureOf(remote.infer(ONE, hop({ deadline: performance.now() - 1 })))).reason).toBe('deadline_exceeded');
    expect(silent.connections()).toBe(0);
  });
});

describe.each(['v1', 'v2'] as const)('a predictor that misbehaves over %s', (protocol) => {
  it.each<[string, Behaviour, string, RegExp]>([
    [
      'half an answer',
      (response) => response.writeHead(200, { 'content-length': '10' }).write('{"out', () => response.destroy()),
      'model_not_ready',
      /^Cannot reach/,
    ],
    ['a page of HTML', (response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<html>'), 'upstream_failed', /^Predictor 127/],
    [
      'JSON that ends early',
      (response) => response.writeHead(200, { 'content-type': 'application/json' }).end('{"outputs":'),
      'upstream_failed',
      /^Predictor 127/,
    ],
    ['500 without a word', (response) => response.writeHead(500).end(), 'model_failed', /^Predictor 127.* answered 500/],
    [
      '500 with words',
      (response) => {
        json(response, 500, { error: 'boom' });
      },
      'model_failed',
      /^boom$/,
    ],
    ['502 of a proxy', (response) => response.writeHead(502).end('bad gateway'), 'upstream_failed', /bad gateway/],
    [
      '503 with words',
      (response) => {
        json(response, 503, { error: 'Model with name m is not ready.' });
      },
      'model_not_ready',
      /^Model with name m is not ready/,
    ],
    [
      '504',
      (response) => {
        json(response, 504, { error: 'too slow' });
      },
      'deadline_exceeded',
      /^too slow$/,
    ],
    [
      '429',
      (response) => {
        json(response, 429, { error: 'full' }, { 'retry-after': '1' });
      },
      'overloaded',
      /^full$/,
    ],
    [
      '413',
      (response) => {
        json(response, 413, { error: 'large' });
      },
      'payload_too_large',
      /^large$/,
    ],
    [
      '404 without a model',
      (response) => {
        json(response, 404, { detail: 'Not Found' });
      },
      'model_not_found',
      /^Predictor 127.*: Not Found/,
    ],
    ['a redirect', (response) => response.writeHead(302, { location: '/login' }).end(), 'upstream_failed', /^Predictor 127/],
  ])('answers %s', async (_, behave, reason, words) => {
    const server = await fake(behave);
    const remote = await open(server.host, protocol);
    const error = await failureOf(remote.infer(ONE, hop()));
    expect(error).toMatchObject({ reason, message: expect.stringMatching(words) as string });
  });

  it('answers more than the limit', async () => {
    const server = await fake((response) => {
      json(response, 200, { predictions: new Array(1000).fill(1.5), outputs: [] });
    });
    const remote = await open(server.host, protocol, { maxResponseBytes: 1000 });
    expect(await failureOf(remote.infer(ONE, hop()))).toMatchObject({
      reason: 'upstream_failed',
      message: `Cannot read the answer of predictor ${server.host}: expected at most 1000 bytes (--predictor_max_response_bytes)`,
    });
  });

  it('is asked again only when it is not available, and only as often as told', async () => {
    const answers = [503, 503, 200];
    const server = await fake((response) => {
      const status = answers.shift() ?? 500;
      json(response, status, status === 200 ? { predictions: [1], outputs: [] } : { error: 'no' });
    });
    await (await open(server.host, protocol, { retries: 2 })).infer(ONE, hop());
    expect(server.calls).toHaveLength(3);
    answers.push(503, 503, 200);
    expect((await failureOf((await open(server.host, protocol, { retries: 1 })).infer(ONE, hop()))).reason).toBe('model_not_ready');
    expect(server.calls).toHaveLength(5);
    for (const status of [429, 500, 504, 400]) {
      answers.splice(0, 2, status, 200);
      const before = server.calls.length;
      // A 400 may mean that it knows no binary tensors: over v2 the same is asked once more in JSON.
      await (await open(server.host, protocol, { retries: 5 })).infer(ONE, hop()).catch(() => undefined);
      expect(server.calls.length - before, String(status)).toBe(status === 400 && protocol === 'v2' ? 2 : 1);
    }
  });

  it('hears that the client has left', async () => {
    let left = false;
    const server = await fake((response) => {
      response.on('close', () => (left = true));
    });
    const remote = await open(server.host, protocol);
    const client = new StopSource();
    const failure = failureOf(remote.infer(ONE, hop({ signal: client })));
    await until(() => server.calls.length === 1);
    client.abort('left');
    expect((await failure).reason).toBe('cancelled');
    await until(() => left);
  });

  it('is asked over connections that are used again, and told time, id and trace', async () => {
    const server = await fake((response) => {
      json(response, 200, { predictions: [1], outputs: [] }, { 'x-note': 'n', 'x-request-id': 'theirs', server: 'uvicorn' });
    });
    const remote = await open(server.host, protocol);
    const headers = { traceparent: '00-a-b-01', authorization: 'Bearer t', host: 'me', 'content-type': 'image/png', cookie: 'c' };
    for (let call = 0; call < 5; call++) {
      const response = await remote.infer(ONE, hop({ headers, deadline: performance.now() + 5000 }));
      expect(response.headers).toEqual({ 'x-note': 'n' });
    }
    expect(server.connections()).toBe(1);
    const sent = server.calls[0]!.headers;
    expect(sent).toMatchObject({ traceparent: '00-a-b-01', authorization: 'Bearer t', 'x-request-id': 'r-1', host: server.host });
    expect(sent).not.toHaveProperty('cookie');
    expect(Number(sent['x-request-timeout-ms'])).toBeGreaterThan(4000);
    expect(Number(sent['x-request-timeout-ms'])).toBeLessThanOrEqual(5000);
  });

  it('takes a body as it is and may answer with one', async () => {
    const server = await fake((response) => response.writeHead(200, { 'content-type': 'image/png' }).end(Buffer.of(1, 2, 3)));
    const remote = await open(server.host, protocol);
    const body = { contentType: 'audio/wav', bytes: Buffer.of(0, 255) };
    const response = await remote.infer({ modelName: 'm', inputs: [], body }, hop());
    expect(response).toMatchObject({ outputs: [], body: { contentType: 'image/png' } });
    expect(Buffer.from(response.body!.bytes)).toEqual(Buffer.of(1, 2, 3));
    expect(server.calls[0]).toMatchObject({ body: body.bytes, headers: { 'content-type': 'audio/wav' } });
  });
});

describe('v1', () => {
  it('leaves JSON untouched both ways', async () => {
    const answer = '{ "predictions" : [1.0, {"odd": null}],\n "more": 1e400 }';
    const server = await fake((response) => response.writeHead(200, { 'content-type': 'application/json' }).end(answer));
    const remote = await open(server.host, 'v1');
    const bytes = Buffer.from('{ "instances" : [ {"a":1.0} ] , "signature_name":"s" }');
    const response = await remote.infer({ modelName: 'm', inputs: [], body: { contentType: 'application/json', bytes } }, hop());
    expect(Buffer.from(response.body!.bytes).toString()).toBe(answer);
    expect(server.calls[0]).toMatchObject({ path: '/v1/models/m:predict', body: bytes });
  });

  it('gives back as JSON what no tensors can hold', async () => {
    const server = await fake((response) => {
      json(response, 200, { predictions: [{ boxes: [[1, 2], [3]] }] });
    });
    const response = await (await open(server.host, 'v1')).infer(ONE, hop());
    expect(JSON.parse(Buffer.from(response.body!.bytes).toString())).toEqual({ predictions: [{ boxes: [[1, 2], [3]] }] });
  });

  it.each([
    [200, { name: 'm', ready: true }, true],
    [200, { name: 'm', ready: 'True' }, true],
    [200, { name: 'm', ready: 'False' }, false],
    [200, { model_version_status: [] }, true],
    [503, { error: 'Model with name m is not ready.' }, false],
    [404, { error: 'Model with name m does not exist.' }, false],
  ])('reads readiness from %i %o', async (status, value, isReady) => {
    const server = await fake((response) => {
      json(response, status, value);
    });
    expect(await (await open(server.host, 'v1')).isReady()).toBe(isReady);
    expect(server.calls[0]!.path).toBe('/v1/models/m');
  });
});

describe('v2', () => {
  it('goes on in JSON with a predictor that knows no binary tensors, and remembers', async () => {
    const server = await fake((response, call) => {
      if (call.headers['content-type'] !== 'application/json') json(response, 400, { error: 'Expecting value: line 1 column 1 (char 0)' });
      else json(response, 200, { model_name: 'm', outputs: [{ name: 'y', datatype: 'FP32', shape: [1], data: [2.5] }] });
    });
    const remote = await open(server.host, 'v2');
    for (let call = 0; call < 3; call++) expect(outputOf(await remote.infer(ONE, hop()), 'y').data).toEqual(Float32Array.of(2.5));
    expect(server.calls.map(({ headers }) => headers['content-type'])).toEqual([
      'application/octet-stream',
      ...new Array<string>(3).fill('application/json'),
    ]);
  });

  it('asks a predictor that has understood binary tensors only once for a mistake', async () => {
    const statuses = [200, 400];
    const server = await fake((response) => {
      const status = statuses.shift() ?? 500;
      json(response, status, status === 200 ? { model_name: 'm', outputs: [] } : { error: 'wrong shape' });
    });
    const remote = await open(server.host, 'v2');
    await remote.infer(ONE, hop());
    expect(await failureOf(remote.infer(ONE, hop()))).toMatchObject({ reason: 'invalid_request', message: 'wrong shape' });
    expect(server.calls).toHaveLength(2);
  });
});
