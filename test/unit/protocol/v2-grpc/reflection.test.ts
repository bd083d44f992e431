import { once } from 'node:events';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Rig } from './harness.ts';

/** The protocol's own .proto files, as the library ships them. */
const library = dirname(createRequire(import.meta.url).resolve('@grpc/reflection/package.json'));

interface ReflectionReply {
  list_services_response?: { service: { name: string }[] };
  file_descriptor_response?: { file_descriptor_proto: Buffer[] };
  error_response?: { error_code: number };
}

describe.each(['v1', 'v1alpha'])('server reflection %s', (version) => {
  const definition = loadSync(join(library, `build/proto/grpc/reflection/${version}/reflection.proto`), { keepCase: true, oneofs: true });
  const method = (definition[`grpc.reflection.${version}.ServerReflection`] as grpc.ServiceDefinition)['ServerReflectionInfo']!;
  let rig: Rig;
  beforeEach(async () => {
    rig = await Rig.start();
  });
  afterEach(() => rig.close());

  const open = (): grpc.ClientDuplexStream<object, ReflectionReply> =>
    rig.client.makeBidiStreamRequest(
      method.path,
      (message: object) => method.requestSerialize(message),
      (bytes) => method.responseDeserialize(bytes) as ReflectionReply,
    );
  const ask = async (question: object): Promise<ReflectionReply> => {
    const stream = open();
    stream.write(question);
    const [reply] = (await once(stream, 'data')) as [ReflectionReply];
    const ended = once(stream.resume(), 'end');
    stream.end();
    await ended;
    return reply;
  };

  it('lists the services', async () => {
    const reply = await ask({ list_services: '' });
    expect(reply.list_services_response?.service.map(({ name }) => name).sort()).toEqual(['grpc.health.v1.Health', 'inference.GRPCInferenceService']);
  });

  it('describes messages with the field names of the .proto file', async () => {
    const reply = await ask({ file_containing_symbol: 'inference.ModelInferRequest' });
    const files = Buffer.concat(reply.file_descriptor_response?.file_descriptor_proto ?? []).toString('latin1');
    expect(files).toContain('raw_input_contents');
    expect(files).toContain('GRPCInferenceService');
  });

  it('of an unknown symbol is an error in the stream', async () => {
    expect((await ask({ file_containing_symbol: 'inference.Nothing' })).error_response?.error_code).toBe(grpc.status.NOT_FOUND);
  });

  it('left open does not hold up a shutdown', async () => {
    const stream = open();
    stream.write({ list_services: '' });
    await once(stream, 'data');
    const ended = once(stream, 'error');
    const from = performance.now();
    await rig.server.stop(15_000);
    expect(performance.now() - from).toBeLessThan(10_000);
    await ended;
  });
});
