import { once } from 'node:events';
import type { ClientReadableStream, ServiceError } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { failure, Rig } from './harness.ts';

describe('grpc.health.v1', () => {
  let rig: Rig;
  beforeEach(async () => {
    rig = await Rig.start();
  });
  afterEach(() => rig.close());
  const check = async (service: string): Promise<unknown> => (await rig.call('Check', { service }))['status'];
  const next = async (stream: ClientReadableStream<Record<string, unknown>>): Promise<unknown> => {
    const [message] = (await once(stream, 'data')) as [{ status: unknown }];
    return message.status;
  };

  it('Check answers for the server, the service and each model as the dataplane says now', async () => {
    expect(await Promise.all(['', 'inference.GRPCInferenceService', 'm', 'loading'].map(check))).toEqual([
      'SERVING',
      'SERVING',
      'SERVING',
      'NOT_SERVING',
    ]);
    rig.dataplane.ready = false;
    expect(await check('')).toBe('NOT_SERVING');
    expect(await check('m')).toBe('SERVING');
  });

  it('Check of an unknown service is NOT_FOUND', async () => {
    expect((await failure(rig.call('Check', { service: 'nobody' }))).codeName).toBe('NOT_FOUND');
  });

  it('List tells the state of every service', async () => {
    expect(await rig.call('List')).toEqual({
      statuses: {
        '': { status: 'SERVING' },
        'inference.GRPCInferenceService': { status: 'SERVING' },
        m: { status: 'SERVING' },
        loading: { status: 'NOT_SERVING' },
      },
    });
  });

  it('Watch sends the state at once and each change, and nothing when nothing changed', async () => {
    const stream = rig.watch('m');
    const states: unknown[] = [];
    expect(await next(stream)).toBe('SERVING');
    stream.on('data', ({ status }: { status: unknown }) => states.push(status));
    rig.server.refreshHealth();
    rig.dataplane.modelReady = false;
    rig.server.refreshHealth();
    expect(await next(stream)).toBe('NOT_SERVING');
    rig.dataplane.modelReady = true;
    rig.server.refreshHealth();
    expect(await next(stream)).toBe('SERVING');
    expect(states).toEqual(['NOT_SERVING', 'SERVING']);
    stream.on('error', () => undefined);
    stream.cancel();
  });

  it('Watch of an unknown service says so and goes on until it is known', async () => {
    const stream = rig.watch('later');
    expect(await next(stream)).toBe('SERVICE_UNKNOWN');
    rig.dataplane.isModelReady = () => true;
    rig.server.refreshHealth();
    expect(await next(stream)).toBe('SERVING');
    stream.on('error', () => undefined);
    stream.cancel();
  });

  it('Watch of bytes that are no message is INVALID_ARGUMENT', async () => {
    const same = (bytes: Buffer): Buffer => bytes;
    const stream = rig.client.makeServerStreamRequest('/grpc.health.v1.Health/Watch', same, same, Buffer.from([0x0a, 0x05]));
    stream.resume();
    const [error] = (await once(stream, 'error')) as ServiceError[];
    expect(error?.code).toBe(3);
  });

  it('draining tells watchers NOT_SERVING, stopping ends them with UNAVAILABLE', async () => {
    const stream = rig.watch('');
    expect(await next(stream)).toBe('SERVING');
    rig.server.drain();
    expect(await next(stream)).toBe('NOT_SERVING');
    const ended = once(stream, 'error') as Promise<ServiceError[]>;
    await rig.server.stop(5000);
    const [error] = await ended;
    expect([error?.code, error?.details]).toEqual([14, 'Server is shutting down']);
  });
});
