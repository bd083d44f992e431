import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SILENT_LOGGER } from '../../src/core/context.ts';
import { StopSource } from '../../src/core/stop-signal.ts';
import { createPredictorHealth, createRemotePredictor } from '../../src/engine/index.ts';
import { json } from '../support/fake-predictor.ts';
import { until } from '../support/until.ts';
import { startFakeGrpcServer } from './client/fake-grpc-server.ts';
import { reply, startPeer } from './client/grpc-peer.ts';
import { closing, failureOf, fake, hop, ONE, open, outputOf, requestOf } from './remote-predictor-hop.ts';

describe('grpc-v2', () => {
  it('sends raw tensors, headers and deadline, and passes cancellation on', async () => {
    const server = await startFakeGrpcServer();
    closing.push(() => server.close());
    const remote = await open(new URL(server.url).host, 'grpc-v2', {}, 'echo');
    const response = await remote.infer(ONE, hop({ headers: { traceparent: '00-a-b-01', te: 'x', cookie: 'c' } }));
    expect(outputOf(response, 'x').data).toEqual(Float32Array.of(1));
    const call = server.state.calls[0]!;
    expect(call.isBinary).toBe(true);
    expect(call.headers).toMatchObject({ traceparent: '00-a-b-01', 'x-request-id': 'r-1' });
    expect(call.headers).not.toHaveProperty('cookie');

    server.state.acts.push({ kind: 'hang' });
    const [hanging, left] = [server.state.whenHanging(), server.state.whenClientLeft()];
    const client = new StopSource();
    const failure = failureOf(remote.infer(ONE, hop({ signal: client })));
    await hanging;
    client.abort('left');
    expect((await failure).reason).toBe('cancelled');
    await left;
  });

  it.each([
    ['invalid_request', 'invalid_request'],
    ['payload_too_large', 'payload_too_large'],
    ['conflict', 'conflict'],
    ['internal', 'model_failed'],
    ['unimplemented', 'unimplemented'],
    ['permission_denied', 'permission_denied'],
    ['deadline_exceeded', 'deadline_exceeded'],
    ['model_not_ready', 'model_not_ready'],
  ] as const)('maps %s to %s', async (reason, seen) => {
    const server = await startFakeGrpcServer();
    closing.push(() => server.close());
    server.state.acts.push({ kind: 'fail', reason, message: 'told by echo' });
    const remote = await open(new URL(server.url).host, 'grpc-v2', {}, 'echo');
    expect((await failureOf(remote.infer(ONE, hop()))).reason).toBe(seen);
  });

  it('refuses nonsense, answers beyond the limit, and bodies', async () => {
    const server = await startFakeGrpcServer();
    closing.push(() => server.close());
    const remote = await open(new URL(server.url).host, 'grpc-v2', { maxResponseBytes: 1000 }, 'echo');
    server.state.acts.push({ kind: 'nonsense' });
    expect((await failureOf(remote.infer(ONE, hop()))).reason).toBe('upstream_failed');
    const large = requestOf({ name: 'x', datatype: 'FP64', shape: [1000], data: new Float64Array(1000) });
    expect(await failureOf(remote.infer(large, hop()))).toMatchObject({
      reason: 'upstream_failed',
      message: expect.stringContaining('--predictor_max_response_bytes') as string,
    });
    const body = { contentType: 'image/png', bytes: Buffer.of(1) };
    expect(await failureOf(remote.infer({ modelName: 'm', inputs: [], body }, hop()))).toMatchObject({ reason: 'unimplemented' });
  });

  it('knows no path behind the host', async () => {
    const options = { host: 'host/base', protocol: 'grpc-v2', useSsl: false, requestTimeoutMs: 1000, retries: 0 } as const;
    await expect(createRemotePredictor(options, 'm', SILENT_LOGGER)).rejects.toMatchObject({
      reason: 'model_failed',
      message: expect.stringContaining('--predictor_host host/base') as string,
    });
  });
});

describe('over TLS', () => {
  let dir: string;
  let tls: { readonly key: string; readonly cert: string };

  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'kserve-node-tls-'));
    const args = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=predictor -addext subjectAltName=IP:127.0.0.1';
    execFileSync('openssl', [...args.split(' '), '-keyout', join(dir, 'key.pem'), '-out', join(dir, 'cert.pem')], { stdio: 'ignore' });
    tls = { key: readFileSync(join(dir, 'key.pem'), 'utf8'), cert: readFileSync(join(dir, 'cert.pem'), 'utf8') };
  });
  afterAll(() => {
    rmSync(dir, { recursive: true });
  });

  it.each(['v1', 'v2'] as const)('%s trusts the certificates of the file and no others', async (protocol) => {
    const server = await fake((response) => {
      json(response, 200, { predictions: [1], outputs: [] });
    }, tls);
    const trusting = await open(server.host, protocol, { useSsl: true, caFile: join(dir, 'cert.pem') });
    await expect(trusting.infer(ONE, hop())).resolves.toBeDefined();
    const wary = await open(server.host, protocol, { useSsl: true, retries: 3 });
    const error = await failureOf(wary.infer(ONE, hop()));
    expect(error).toMatchObject({ reason: 'model_not_ready', message: expect.stringContaining('self-signed') as string });
    expect(server.calls).toHaveLength(1);
  });

  it('grpc-v2 trusts the certificates of the file and no others', async () => {
    const server = await startPeer(
      (stream) => {
        reply(stream);
      },
      { tls },
    );
    closing.push(() => server.close());
    const trusting = await open(server.host, 'grpc-v2', { useSsl: true, caFile: join(dir, 'cert.pem') });
    expect(outputOf(await trusting.infer(ONE, hop()), 'y').data).toEqual(Float32Array.of(2.5));
    const wary = await open(server.host, 'grpc-v2', { useSsl: true, retries: 3 });
    const error = await failureOf(wary.infer(ONE, hop()));
    expect(error).toMatchObject({ reason: 'model_not_ready', message: expect.stringContaining('self-signed') as string });
  });

  it('fails to start with a file that is not there, naming it', async () => {
    const options = { host: 'host', protocol: 'v2', useSsl: true, requestTimeoutMs: 1000, retries: 0, caFile: join(dir, 'none.pem') } as const;
    await expect(createRemotePredictor(options, 'm', SILENT_LOGGER)).rejects.toMatchObject({
      reason: 'model_failed',
      message: expect.stringContaining(`none.pem`) as string,
    });
  });
});

describe('createPredictorHealth', () => {
  it('follows a predictor that goes and comes back', async () => {
    let isUp = true;
    const server = await fake((response) => {
      json(response, isUp ? 200 : 503, { name: 'm', ready: isUp });
    });
    const options = { host: server.host, protocol: 'v2', useSsl: false, requestTimeoutMs: 1000, retries: 0 } as const;
    const health = await createPredictorHealth(options, 'm', SILENT_LOGGER, { intervalMs: 20 });
    closing.push(() => {
      health.stop();
    });
    await until(() => health.isReady());
    isUp = false;
    await until(() => !health.isReady());
    isUp = true;
    await until(() => health.isReady());
  });
});
