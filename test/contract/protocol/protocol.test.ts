import { afterAll, beforeAll } from 'vitest';
import type { Signature } from '../../../src/core/metadata.ts';
import { createTemporaryRepository, type TemporaryRepository } from '../../support/model-repository.ts';
import { startServerProcess, type ServerProcess } from '../../support/server.ts';
import { describeProtocol } from './describe-protocol.ts';
import { grpcWire } from './grpc-wires.ts';
import { v1Wire, v2BinaryWire, v2JsonWire } from './rest-wires.ts';
import { SCENARIOS } from './scenarios.ts';

const GOLDEN = ['bert-tiny', 'torch-gru', 'iris-string-labels', 'tf-dense', 'iris-zipmap-columns', 'vae-digits'];
const IDENTITIES = [...new Set(SCENARIOS.map(({ request }) => request.model).filter((model) => model.startsWith('identity-')))];

let repository: TemporaryRepository;
let server: ServerProcess;
const signatures = new Map<string, Signature>();

beforeAll(async () => {
  repository = createTemporaryRepository({
    digits: 'models/digits-mlp',
    slow: 'models/slow-chain',
    ...Object.fromEntries(GOLDEN.map((name) => [name, `models/${name}`])),
    ...Object.fromEntries(IDENTITIES.map((name) => [name, `identity/${name}`])),
  });
  server = await startServerProcess([`--model_dir=${repository.dir}`, '--isolation=inline']);
  for (const name of ['digits', ...GOLDEN, ...IDENTITIES]) {
    signatures.set(name, (await (await fetch(`${server.url}/v2/models/${name}`)).json()) as Signature);
  }
});

afterAll(async () => {
  await server.stop();
  repository.remove();
});

describeProtocol('v2 JSON', () => v2JsonWire(server.url));
describeProtocol('v2 binary', () => v2BinaryWire(server.url));
describeProtocol('gRPC typed', () => grpcWire(server.grpcAddress, 'typed'));
describeProtocol('gRPC raw', () => grpcWire(server.grpcAddress, 'raw'));
// The HTTP port carries HTTP/2 and gRPC, too.
describeProtocol('v2 JSON', () => v2JsonWire(server.url, 'HTTP/2'));
describeProtocol('gRPC typed', () => grpcWire(new URL(server.url).host, 'typed'));
describeProtocol('gRPC raw', () => grpcWire(new URL(server.url).host, 'raw'));
describeProtocol('v1', () => v1Wire(server.url, (model) => signatures.get(model)));
