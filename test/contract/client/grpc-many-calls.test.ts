import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { constants, type ServerHttp2Stream } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { connect } from '../../../src/client/index.ts';
import { until } from '../../support/until.ts';
import { closeLater, failureOf, ONE, open, peer, reply, socketPeer } from './grpc-peer.ts';

function answerAll(stream: ServerHttp2Stream): void {
  reply(stream);
}

describe('many calls', () => {
  it('stay within the streams that the server allows, over as many connections as they need and may have', async () => {
    const running = new Map<unknown, number>();
    let most = 0;
    const server = await peer(
      (stream) => {
        const { session } = stream;
        const count = (running.get(session) ?? 0) + 1;
        running.set(session, count);
        most = Math.max(most, count);
        stream.on('close', () => running.set(session, (running.get(session) ?? 1) - 1));
        setImmediate(() => {
          reply(stream);
        });
      },
      { settings: { maxConcurrentStreams: 5 } },
    );
    const client = open(server.host, { maxConnections: 3 });
    const answers = await Promise.all(Array.from({ length: 300 }, () => client.infer('m', ONE)));
    expect(answers).toHaveLength(300);
    expect(most).toBeLessThanOrEqual(5);
    expect(server.connections()).toBe(3);
  });

  it('lose nothing when the server closes its connections one after the other', async () => {
    let served = 0;
    const server = await peer((stream) => {
      // GOAWAY: what has come by now is answered, what has not goes elsewhere.
      if (++served % 25 === 0) stream.session?.close();
      setImmediate(() => {
        reply(stream);
      });
    });
    const client = open(server.host);
    const worker = async (): Promise<void> => {
      for (let call = 0; call < 40; call++) await client.infer('m', ONE);
    };
    await Promise.all(Array.from({ length: 20 }, worker));
    expect(server.connections()).toBeGreaterThan(5);
  });

  it('go elsewhere when a stream is refused, and fail when all are', async () => {
    let refused = 0;
    const server = await peer((stream) => {
      if (refused-- > 0) stream.close(constants.NGHTTP2_REFUSED_STREAM);
      else reply(stream);
    });
    const client = open(server.host);
    refused = 3;
    await expect(client.infer('m', ONE)).resolves.toBeDefined();
    refused = Infinity;
    expect(await failureOf(client.infer('m', ONE))).toMatchObject({ reason: 'unavailable', message: 'Stream refused by server', retryable: true });
  });

  it('that wait fail when the connection breaks and there is no other', async () => {
    let calls = 0;
    const server = await peer(() => calls++, { settings: { maxConcurrentStreams: 1 } });
    const client = open(server.host);
    const running = failureOf(client.infer('m', ONE));
    await until(() => calls === 1);
    server.stopListening();
    const waiting = Array.from({ length: 3 }, () => failureOf(client.infer('m', ONE)));
    for (const session of server.sessions) session.destroy();
    for (const { reason } of await Promise.all([running, ...waiting])) expect(reason).toBe('unavailable');
  });

  it('wait for a server that takes none for the time being, and may be given up', async () => {
    const server = await peer(answerAll, { settings: { maxConcurrentStreams: 0 } });
    const client = open(server.host);
    const gone = new AbortController();
    const given = failureOf(client.infer('m', ONE, { signal: gone.signal }));
    const waiting = client.infer('m', ONE);
    await until(() => server.sessions.size === 1);
    gone.abort();
    expect((await given).reason).toBe('cancelled');
    for (const session of server.sessions) session.settings({ maxConcurrentStreams: 10 });
    expect((await waiting).numbers('y')).toEqual([2.5]);
  });
});

describe('leaving', () => {
  it('tells the server with RST_STREAM CANCEL and keeps the connection', async () => {
    let code: number | undefined;
    let isThere = false;
    const acts = [
      (stream: ServerHttp2Stream): void => {
        isThere = true;
        stream.on('close', () => (code = stream.rstCode));
      },
    ];
    const server = await peer((stream) => {
      (acts.shift() ?? reply)(stream);
    });
    const client = open(server.host);
    const caller = new AbortController();
    const failure = failureOf(client.infer('m', ONE, { signal: caller.signal }));
    await until(() => isThere);
    caller.abort();
    expect((await failure).reason).toBe('cancelled');
    await until(() => code === constants.NGHTTP2_CANCEL);
    await expect(client.infer('m', ONE)).resolves.toBeDefined();
    expect(server.connections()).toBe(1);
  });

  it('closing ends what runs, what waits and what connects, and every connection', async () => {
    let calls = 0;
    const server = await peer(() => calls++, { settings: { maxConcurrentStreams: 2 } });
    const silent = await socketPeer(() => undefined);
    const clients = [open(server.host, { maxConnections: 2 }), open(silent)];
    const failures = clients.flatMap((client) => Array.from({ length: 10 }, () => failureOf(client.infer('m', ONE))));
    await until(() => calls === 4);
    for (const client of clients) client.close();
    expect((await Promise.all(failures)).every(({ reason }) => reason === 'cancelled')).toBe(true);
    await until(() => server.sessions.size === 0);
  });
});

describe('over TLS', () => {
  it('trusts a private authority, and nobody else without it', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'kserve-node-grpcs-'));
    closeLater(() => {
      rmSync(dir, { recursive: true });
    });
    const run = (args: string): Buffer => execFileSync('openssl', args.split(' '), { cwd: dir, stdio: 'pipe' });
    const key = '-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes';
    run(`req -x509 ${key} -days 2 -subj /CN=authority -keyout ca.key -out ca.pem`);
    run(`req ${key} -subj /CN=predictor -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out csr.pem`);
    run('x509 -req -in csr.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -copy_extensions copy -out cert.pem');
    const read = (name: string): string => readFileSync(join(dir, name), 'utf8');
    const server = await peer(answerAll, { tls: { key: read('key.pem'), cert: read('cert.pem') } });
    const trusting = connect(`grpcs://${server.host}`, { tls: { ca: read('ca.pem') }, retries: 0 });
    const wary = connect(`grpcs://${server.host}`, { retries: 3 });
    closeLater(() => {
      trusting.close();
      wary.close();
    });
    expect((await trusting.infer('m', ONE)).numbers('y')).toEqual([2.5]);
    const error = await failureOf(wary.infer('m', ONE));
    expect(error).toMatchObject({ reason: 'unavailable', retryable: false });
    expect(error.message).toMatch(/certificate/);
  });
});
