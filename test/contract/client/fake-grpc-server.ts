import {
  loadPackageDefinition,
  Metadata,
  Server,
  ServerCredentials,
  status as Status,
  type sendUnaryData,
  type ServerUnaryCall,
  type ServiceDefinition,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { once } from 'node:events';
import { connect as connectSocket, createServer as createSocketServer, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import { ERROR_TABLE, type ErrorReason } from '../../../src/core/errors.ts';
import { decodeModelInferRequest, encodeModelInferResponse } from '../../support/proto-messages.ts';
import { FakeState, type FakeServer } from './fake-server.ts';

const PROTO = join(import.meta.dirname, '../../../protos/open_inference.proto');

interface Named {
  readonly name: string;
}
/** KServe's clients put the name into field 1, which the proto calls repository_name as Triton does. */
interface RepositoryCall {
  readonly repository_name: string;
}

/** A small server of the protocol's gRPC form; all but inference goes through the proto file, so that the client's own reading of it is checked. */
export async function startFakeGrpcServer(port = 0): Promise<FakeServer> {
  const state = new FakeState();
  const server = new Server();
  server.addService(serviceDefinition(), {
    ServerLive: answer(() => ({ live: state.live })),
    ServerReady: answer(() => ({ ready: state.ready })),
    ModelReady: answer(({ name }: Named) => {
      checkKnown(state, name);
      return { ready: state.ready };
    }),
    ServerMetadata: answer(() => state.serverMetadata),
    ModelMetadata: answer(({ name }: Named) => {
      checkKnown(state, name);
      return state.modelMetadata;
    }),
    RepositoryIndex: answer(({ ready }: { readonly ready: boolean }) => ({ models: state.index(ready) })),
    RepositoryModelLoad: answer(({ repository_name: name }: RepositoryCall) => {
      state.repositoryCalls.push(`load ${name}`);
      if (name === 'broken') throw new Failure('model_not_ready', 'Model with name broken is not ready.');
      state.models.add(name);
      return { model_name: name, isLoaded: true };
    }),
    RepositoryModelUnload: answer(({ repository_name: name }: RepositoryCall) => {
      state.repositoryCalls.push(`unload ${name}`);
      if (!state.models.delete(name)) throw new Failure('model_not_found', `Model with name ${name} does not exist.`);
      return { model_name: name, isUnloaded: true };
    }),
    ModelInfer: (call: ServerUnaryCall<Buffer, Buffer>, reply: sendUnaryData<Buffer>) => {
      infer(state, call, reply, () => {
        front.dropAll();
      });
    },
  });
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, got) => {
      if (error === null) resolve(got);
      else reject(error);
    });
  });
  const front = await startFront(port, bound);
  return {
    url: `grpc://127.0.0.1:${front.port}`,
    state,
    close: async () => {
      server.forceShutdown();
      await front.close();
    },
  };
}

interface Front {
  readonly port: number;
  /** Breaks every connection, as a server that dies does: the library itself would first say that it cancels. */
  dropAll(): void;
  close(): Promise<void>;
}

/** Passes bytes on to the server behind it. */
async function startFront(port: number, behind: number): Promise<Front> {
  const sockets = new Set<Socket>();
  const front = createSocketServer((near) => {
    const far = connectSocket(behind, '127.0.0.1');
    near.pipe(far).pipe(near);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
  });
  front.listen(port, '127.0.0.1');
  await once(front, 'listening');
  const dropAll = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: (front.address() as AddressInfo).port,
    dropAll,
    close: async () => {
      dropAll();
      front.close();
      await once(front, 'close');
    },
  };
}

/** The proto's service, with the messages of inference left as bytes for the codec. */
function serviceDefinition(): ServiceDefinition {
  const root = loadPackageDefinition(loadSync(PROTO, { keepCase: true, longs: String, defaults: true }));
  const { GRPCInferenceService: constructor } = root['inference'] as unknown as {
    readonly GRPCInferenceService: { readonly service: ServiceDefinition };
  };
  const service = constructor.service;
  const asIs = (bytes: Buffer): Buffer => bytes;
  const infer = service['ModelInfer'];
  if (infer === undefined) throw new Error('no ModelInfer in the proto');
  return {
    ...service,
    ModelInfer: { ...infer, requestSerialize: asIs, requestDeserialize: asIs, responseSerialize: asIs, responseDeserialize: asIs },
  };
}

class Failure extends Error {
  readonly reason: ErrorReason;

  constructor(reason: ErrorReason, message: string) {
    super(message);
    this.reason = reason;
  }
}

function checkKnown(state: FakeState, name: string): void {
  if (!state.models.has(name)) throw new Failure('model_not_found', `Model with name ${name} does not exist.`);
}

function answer<Request>(give: (request: Request) => unknown): (call: ServerUnaryCall<Request, unknown>, reply: sendUnaryData<unknown>) => void {
  return (call, reply) => {
    try {
      reply(null, give(call.request));
    } catch (thrown) {
      fail(reply, (thrown as Failure).reason, (thrown as Failure).message);
    }
  };
}

function infer(state: FakeState, call: ServerUnaryCall<Buffer, Buffer>, reply: sendUnaryData<Buffer>, drop: () => void): void {
  const { request, raw } = decodeModelInferRequest(call.request);
  if (!state.models.has(request.modelName)) {
    fail(reply, 'model_not_found', `Model with name ${request.modelName} does not exist.`);
    return;
  }
  const headers = Object.fromEntries(Object.entries(call.metadata.getMap()).map(([name, value]) => [name, value.toString()]));
  const act = state.next({ headers: { ...headers, host: call.getHost() }, request, at: performance.now(), isBinary: raw });
  switch (act.kind) {
    case 'fail':
      fail(reply, act.reason, act.message, act.retryAfterMs);
      return;
    case 'hang':
      call.on('cancelled', () => {
        state.clientLeft();
      });
      return;
    case 'drop':
      drop();
      return;
    case 'nonsense':
      reply(null, Buffer.of(0xff));
      return;
    case 'echo': {
      const wanted = request.outputs?.map((output) => output.name);
      const outputs = request.inputs.filter((input) => wanted === undefined || wanted.includes(input.name));
      const { modelVersion = '1' } = request;
      const { modelName, id, parameters } = request;
      reply(
        null,
        encodeModelInferResponse(
          { modelName, modelVersion, outputs, ...(id === undefined ? {} : { id }), ...(parameters === undefined ? {} : { parameters }) },
          { raw },
        ),
      );
    }
  }
}

function fail(reply: sendUnaryData<never>, reason: ErrorReason, message: string, retryAfterMs?: number): void {
  const metadata = new Metadata();
  if (retryAfterMs !== undefined) metadata.set('grpc-retry-pushback-ms', String(retryAfterMs));
  reply({ code: Status[ERROR_TABLE[reason].grpc ?? 'UNKNOWN'], details: message, metadata });
}
