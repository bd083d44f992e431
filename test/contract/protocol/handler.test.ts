import { afterAll, beforeAll } from 'vitest';
import { SILENT_LOGGER } from '../../../src/core/context.ts';
import { modelNotFound } from '../../../src/core/errors.ts';
import { createDataplane } from '../../../src/dataplane/index.ts';
import { createHttpFrontend, type HttpFrontend } from '../../../src/protocol/http/index.ts';
import { createV1Routes } from '../../../src/protocol/v1-rest/index.ts';
import { createGrpcServer, type GrpcFrontend } from '../../../src/protocol/v2-grpc/index.ts';
import { createV2Routes } from '../../../src/protocol/v2-rest/index.ts';
import type { ModelRepository } from '../../../src/repository/index.ts';
import { describeProtocol } from './describe-protocol.ts';
import { grpcWire } from './grpc-wires.ts';
import { EXPLAINER, EXPLANATION, MODELS, servedModel, SIGNATURE } from './handler-models.ts';
import { HANDLER_SCENARIOS } from './handler-scenarios.ts';
import { v1Wire, v2BinaryWire, v2JsonWire } from './rest-wires.ts';

/** The protocols over the dataplane as it is; handlers are functions here, so that what fails is not how they are run. */
let http: HttpFrontend;
let grpc: GrpcFrontend;
let url: string;
let grpcAddress: string;

const served = new Map(Object.entries(MODELS).map(([name, model]) => [name, servedModel(name, model)]));
const repository: ModelRepository = {
  start: () => Promise.resolve(),
  names: () => [...served.keys()],
  find: (name) => {
    const model = served.get(name);
    if (model === undefined) throw modelNotFound(name);
    return model;
  },
  isReady: (name) => served.has(name),
  isAllReady: () => true,
  index: () => [],
  load: () => Promise.resolve(),
  unload: () => Promise.resolve(),
  close: () => Promise.resolve(),
};

const SETTINGS = {
  maxBodyBytes: 1 << 20,
  maxHeaderBytes: 16_384,
  headerTimeoutMs: 10_000,
  bodyTimeoutMs: 10_000,
  keepAliveTimeoutMs: 10_000,
  maxJsonDepth: 20,
  maxConnections: 100,
  ceType: 'io.kserve.inference.response',
  ceSource: undefined,
  ceMerge: false,
} as const;

beforeAll(async () => {
  const options = { requestTimeoutMs: 30_000, serverName: 'kserve-node', version: '1.2.3' };
  const dataplane = createDataplane(options, { repository, explainer: EXPLAINER });
  const deps = { dataplane, maxJsonDepth: SETTINGS.maxJsonDepth, events: SETTINGS };
  http = createHttpFrontend(SETTINGS, { routes: [...createV2Routes(deps), ...createV1Routes(deps)], log: SILENT_LOGGER });
  const limits = { maxReceiveBytes: 1 << 20, maxSendBytes: 1 << 20, stallTimeoutMs: SETTINGS.bodyTimeoutMs };
  grpc = createGrpcServer({ ...SETTINGS, host: '127.0.0.1', port: 0, ...limits }, { dataplane, log: SILENT_LOGGER });
  const [httpPort, grpcPort] = await Promise.all([http.start('127.0.0.1', 0), grpc.start()]);
  url = `http://127.0.0.1:${httpPort}`;
  grpcAddress = `127.0.0.1:${grpcPort}`;
});

afterAll(async () => {
  await Promise.all([http.stop(0), grpc.stop(0)]);
});

describeProtocol('v2 JSON', () => v2JsonWire(url), HANDLER_SCENARIOS);
describeProtocol('v2 binary', () => v2BinaryWire(url), HANDLER_SCENARIOS);
describeProtocol('gRPC typed', () => grpcWire(grpcAddress, 'typed'), HANDLER_SCENARIOS);
describeProtocol('gRPC raw', () => grpcWire(grpcAddress, 'raw'), HANDLER_SCENARIOS);
describeProtocol('v1', () => v1Wire(url, (_, verb) => (verb === 'infer' ? SIGNATURE : EXPLANATION)), HANDLER_SCENARIOS);
