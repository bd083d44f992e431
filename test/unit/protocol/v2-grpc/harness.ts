import { statisticsOf } from '../../../support/statistics.ts';
import { fileURLToPath } from 'node:url';
import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { SILENT_LOGGER, type Logger, type RequestContext } from '../../../../src/core/context.ts';
import { modelNotFound, modelNotReady } from '../../../../src/core/errors.ts';
import type { InferRequest, InferResponse } from '../../../../src/core/infer.ts';
import { NO_CAPABILITIES } from '../../../../src/core/metadata.ts';
import type { Dataplane } from '../../../../src/dataplane/index.ts';
import { createGrpcServer, type GrpcDependencies, type GrpcFrontend, type GrpcServerOptions } from '../../../../src/protocol/v2-grpc/index.ts';

const PROTOS = ['open_inference.proto', 'health.proto'].map((file) => fileURLToPath(new URL(`../../../../protos/${file}`, import.meta.url)));

/** Read by the library alone, so that our own codec is not its own judge. */
export const packages = loadSync(PROTOS, { keepCase: true, defaults: true, longs: Number, enums: String });

const SIGNATURE = {
  inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2], dimensionNames: ['batch', undefined] }],
  outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 2] }],
} as const;

/** A dataplane that echoes inputs as outputs; `m` is ready, `loading` is not, nothing else is known. Members may be replaced. */
export class FakeDataplane implements Dataplane {
  ready = true;
  modelReady = true;
  readonly calls: { readonly request: InferRequest; readonly ctx: RequestContext }[] = [];
  readonly loads: string[] = [];
  readonly unloads: string[] = [];

  isLive = (): boolean => true;
  isReady = (): boolean => this.ready;
  modelNames = (): readonly string[] => ['m', 'loading'];
  serverMetadata: Dataplane['serverMetadata'] = () => ({
    name: 'kserve-node',
    version: '1.2.3',
    extensions: ['model_repository', 'binary_tensor_data'],
  });

  isModelReady = (name: string, version?: string): boolean => {
    if (!this.modelNames().includes(name)) throw modelNotFound(name, version);
    return name === 'm' && this.modelReady;
  };

  resolve: Dataplane['resolve'] = (name, version) => {
    if (!this.isModelReady(name, version)) throw modelNotReady(name);
    return { name, version: version ?? '1', signature: SIGNATURE, capabilities: NO_CAPABILITIES };
  };

  statistics: Dataplane['statistics'] = (name, version) => {
    if (name !== undefined) this.resolve(name, version);
    return [statisticsOf(name ?? 'm', version ?? '1')];
  };

  modelMetadata: Dataplane['modelMetadata'] = (name, version) => {
    this.resolve(name, version);
    return { name, versions: ['1'], platform: 'onnx_onnxv1', properties: { opset: '17' }, ...SIGNATURE };
  };

  infer: Dataplane['infer'] = (request, ctx) => {
    this.calls.push({ request, ctx });
    return Promise.resolve(echo(request));
  };

  explain: Dataplane['explain'] = (request, ctx) => {
    this.calls.push({ request, ctx });
    return Promise.resolve({ ...echo(request), outputs: request.inputs.map((input) => ({ ...input, name: 'explanation' })) });
  };

  index: Dataplane['index'] = ({ readyOnly }) =>
    readyOnly
      ? [{ name: 'm', version: '1', state: 'READY', reason: '' }]
      : [
          { name: 'm', version: '1', state: 'READY', reason: '' },
          { name: 'loading', version: '2', state: 'LOADING', reason: 'being loaded' },
        ];

  load: Dataplane['load'] = (name) => {
    this.loads.push(name);
    return Promise.resolve();
  };

  unload: Dataplane['unload'] = (name) => {
    this.unloads.push(name);
    return Promise.resolve();
  };
}

export function echo(request: InferRequest): InferResponse {
  return { modelName: request.modelName, modelVersion: '1', ...(request.id !== undefined && { id: request.id }), outputs: request.inputs };
}

type Message = Record<string, unknown>;
export interface CallOptions {
  readonly metadata?: Readonly<Record<string, string>>;
  readonly deadline?: number;
}

export const OPTIONS: GrpcServerOptions = {
  host: '127.0.0.1',
  port: 0,
  maxReceiveBytes: 8 << 20,
  maxSendBytes: 8 << 20,
  stallTimeoutMs: 60_000,
  maxHeaderBytes: 16 * 1024,
  headerTimeoutMs: 10_000,
  maxConnections: 1000,
};

/** Server and client of one test; `close` ends both. */
export class Rig {
  readonly dataplane: FakeDataplane;
  readonly server: GrpcFrontend;
  readonly port: number;
  readonly client: grpc.Client;

  static async start(options: Partial<GrpcServerOptions> = {}, deps: Partial<GrpcDependencies> = {}): Promise<Rig> {
    const dataplane = new FakeDataplane();
    const server = createGrpcServer({ ...OPTIONS, ...options }, { dataplane, log: SILENT_LOGGER, ...deps });
    return new Rig(dataplane, server, await server.start());
  }

  private constructor(dataplane: FakeDataplane, server: GrpcFrontend, port: number) {
    this.dataplane = dataplane;
    this.server = server;
    this.port = port;
    this.client = this.connect();
  }

  connect(options: grpc.ClientOptions = {}, port = this.port): grpc.Client {
    return new grpc.Client(`127.0.0.1:${String(port)}`, grpc.credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
      'grpc.max_receive_message_length': -1,
      'grpc.max_send_message_length': -1,
      ...options,
    });
  }

  /** The reply; rejects with grpc.ServiceError. */
  call(name: string, message: Message = {}, options: CallOptions = {}): Promise<Message> {
    return this.begin(name, message, options).reply;
  }

  begin(name: string, message: Message, options: CallOptions = {}, client = this.client): { reply: Promise<Message>; call: grpc.ClientUnaryCall } {
    const method = methodOf('inference.GRPCInferenceService', name) ?? methodOf('grpc.health.v1.Health', name);
    if (method === undefined) throw new Error(`no method ${name}`);
    return this.beginBytes(method.path, method.requestSerialize(message), (bytes) => method.responseDeserialize(bytes) as Message, options, client);
  }

  beginBytes<T>(
    path: string,
    bytes: Buffer,
    decode: (bytes: Buffer) => T,
    options: CallOptions = {},
    client = this.client,
  ): { reply: Promise<T>; call: grpc.ClientUnaryCall } {
    const metadata = new grpc.Metadata();
    for (const [key, value] of Object.entries(options.metadata ?? {})) metadata.set(key, key.endsWith('-bin') ? Buffer.from(value) : value);
    let call: grpc.ClientUnaryCall | undefined;
    const reply = new Promise<T>((resolve, reject) => {
      const same = (message: Buffer): Buffer => message;
      const callOptions = options.deadline === undefined ? {} : { deadline: Date.now() + options.deadline };
      call = client.makeUnaryRequest(path, same, decode, bytes, metadata, callOptions, (error, value) => {
        if (error !== null) reject(error);
        else resolve(value as T);
      });
    });
    if (call === undefined) throw new Error('the call was not made');
    return { reply, call };
  }

  watch(service: string): grpc.ClientReadableStream<Message> {
    const method = methodOf('grpc.health.v1.Health', 'Watch');
    if (method === undefined) throw new Error('no Watch');
    const decode = (bytes: Buffer): Message => method.responseDeserialize(bytes) as Message;
    return this.client.makeServerStreamRequest(method.path, (message: Message) => method.requestSerialize(message), decode, { service });
  }

  async close(): Promise<void> {
    this.client.close();
    await this.server.stop(0);
  }
}

function methodOf(service: string, name: string): grpc.MethodDefinition<object, object> | undefined {
  return (packages[service] as grpc.ServiceDefinition)[name];
}

/** The error that a call failed with. */
export async function failure(reply: Promise<unknown>): Promise<grpc.ServiceError & { codeName: string }> {
  try {
    await reply;
  } catch (error) {
    const serviceError = error as grpc.ServiceError;
    return Object.assign(serviceError, { codeName: grpc.status[serviceError.code] });
  }
  throw new Error('the call succeeded, expected it to fail');
}

export interface LogRecord {
  readonly level: string;
  readonly fields: Record<string, unknown>;
  readonly message: string;
}

export function recordingLogger(records: LogRecord[], bound: object = {}): Logger {
  const at = (level: string) => (fields: object, message: string) => {
    records.push({ level, fields: { ...bound, ...fields }, message });
  };
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (fields) => recordingLogger(records, { ...bound, ...fields }),
  };
}

export const fp32Request = (extra: Message = {}): Message => ({
  model_name: 'm',
  inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], contents: { fp32_contents: [1.5, -2] } }],
  ...extra,
});
