import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { SILENT_LOGGER } from '../../../../src/core/context.ts';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createGrpcServer } from '../../../../src/protocol/v2-grpc/index.ts';
import { toServingError } from '../../../../src/core/errors.ts';
import { echo, failure, FakeDataplane, fp32Request, OPTIONS, recordingLogger, Rig, type LogRecord } from './harness.ts';

async function startRig(...args: Parameters<typeof Rig.start>): Promise<Rig> {
  const rig = await Rig.start(...args);
  onTestFinished(() => rig.close());
  return rig;
}

/** Holds the next inference until released. */
function hold(rig: Rig): { readonly started: Promise<void>; release: () => void } {
  let release = (): void => undefined;
  let onStart = (): void => undefined;
  const started = new Promise<void>((resolve) => (onStart = resolve));
  rig.dataplane.infer = (request, { signal }) =>
    new Promise((resolve, reject) => {
      release = () => {
        resolve(echo(request));
      };
      signal.addEventListener('abort', () => {
        reject(toServingError(signal.reason));
      });
      onStart();
    });
  return {
    started,
    release: () => {
      release();
    },
  };
}

describe('createGrpcServer', () => {
  it('on a taken port rejects with one line that names the option', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    onTestFinished(() => void other.close());
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const server = createGrpcServer({ ...OPTIONS, port }, { dataplane: new FakeDataplane(), log: SILENT_LOGGER });
    await expect(server.start()).rejects.toThrow(
      `Cannot listen for gRPC on 127.0.0.1:${String(port)}: the port is taken; set --grpc_port to another one`,
    );
    await server.stop(0);
  });

  it('stopped before it was started has nothing to do', async () => {
    const server = createGrpcServer(OPTIONS, { dataplane: new FakeDataplane(), log: SILENT_LOGGER });
    server.refreshHealth();
    server.drain();
    await server.stop(1000);
  });

  it('draining answers calls under way and still serves whoever comes', async () => {
    const rig = await startRig();
    const held = hold(rig);
    const { reply } = rig.begin('ModelInfer', fp32Request({ id: 'under way' }));
    await held.started;
    rig.server.drain();
    expect((await rig.call('Check', { service: '' }))['status']).toBe('NOT_SERVING');
    expect(await rig.call('ServerLive')).toEqual({ live: true });
    held.release();
    expect(await reply).toMatchObject({ id: 'under way' });
  });

  it('stopping answers calls under way, refuses new ones as UNAVAILABLE, and ends when the last is answered', async () => {
    const rig = await startRig();
    const held = hold(rig);
    const { reply } = rig.begin('ModelInfer', fp32Request({ id: 'under way' }));
    await held.started;
    const stopped = rig.server.stop(10_000);
    expect((await failure(rig.call('ServerLive'))).codeName).toBe('UNAVAILABLE');
    held.release();
    expect(await reply).toMatchObject({ id: 'under way' });
    const from = performance.now();
    await stopped;
    expect(performance.now() - from).toBeLessThan(5000);
  });

  it('stopping after draining still waits for calls that were under way when draining began', async () => {
    const rig = await startRig();
    const held = hold(rig);
    const { reply } = rig.begin('ModelInfer', fp32Request({ id: 'old' }));
    await held.started;
    rig.server.drain();
    const stopped = rig.server.stop(10_000);
    held.release();
    expect(await reply).toMatchObject({ id: 'old' });
    await stopped;
  });

  it('stopping with idle connections does not wait for the grace period', async () => {
    const rig = await startRig();
    await rig.call('ServerLive');
    const from = performance.now();
    await rig.server.stop(10_000);
    expect(performance.now() - from).toBeLessThan(5000);
  });

  it('out of grace cuts calls under way, aborts their signal and says so in the log', async () => {
    const records: LogRecord[] = [];
    const rig = await startRig({}, { log: recordingLogger(records) });
    const held = hold(rig);
    const { reply } = rig.begin('ModelInfer', fp32Request());
    await held.started;
    const failed = failure(reply);
    await rig.server.stop(20);
    expect(['UNAVAILABLE', 'CANCELLED']).toContain((await failed).codeName);
    expect(records.filter((record) => record.level === 'warn').map((record) => record.message)).toEqual([
      'gRPC connections were still open when their grace period ended',
    ]);
  });

  it('outlives a peer that speaks no HTTP/2', async () => {
    const rig = await startRig();
    const socket = connect(rig.port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    socket.resume();
    await once(socket, 'close');
    expect(await rig.call('ServerLive')).toEqual({ live: true });
  });

  it('answers a hundred calls at once on one connection', async () => {
    const rig = await startRig();
    const replies = await Promise.all(Array.from({ length: 100 }, (_, index) => rig.call('ModelInfer', fp32Request({ id: String(index) }))));
    expect(replies.map((reply) => reply['id'])).toEqual(Array.from({ length: 100 }, (_, index) => String(index)));
  });
});
