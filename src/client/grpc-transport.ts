import type * as grpcLibrary from '@grpc/grpc-js';
import { decodeModelInferResponse, encodeModelInferRequest } from '../codec/index.ts';
import type { Attempt, Transport } from './client.ts';
import { errorFromStatus } from './grpc-errors.ts';
import { decodeFlag, decodeIndex, decodeModelMetadata, decodeServerMetadata, encodeFields } from './grpc-messages.ts';
import { InferenceError, invalidCall, invalidResponse, messageOf } from './inference-error.ts';
import { InferenceResponse } from './inference-response.ts';
import { pem, type TransportOptions } from './transport-options.ts';

const SERVICE = '/inference.GRPCInferenceService/';
const EMPTY = Buffer.alloc(0);

/** How fast a broken channel connects again; the client's own pauses between attempts are as long. */
const RECONNECT = { 'grpc.initial_reconnect_backoff_ms': 100, 'grpc.max_reconnect_backoff_ms': 1000 };

/** The Open Inference Protocol over one HTTP/2 channel. */
export function createGrpcTransport(options: TransportOptions): Transport {
  const unary = createUnary(options);

  return {
    async infer(request, attempt) {
      if (request.body !== undefined) {
        throw new InferenceError(
          'unimplemented',
          `Cannot send a body of ${request.body.contentType} by gRPC: expected tensors; only HTTP carries bodies`,
        );
      }
      let message: Uint8Array;
      try {
        message = encodeModelInferRequest(request, { raw: options.isBinary });
      } catch (thrown) {
        throw invalidCall(messageOf(thrown), thrown);
      }
      let headers: Readonly<Record<string, string>> = {};
      const reply = await unary.call('ModelInfer', message, attempt, (metadata) => {
        headers = joinMetadata(metadata);
      });
      try {
        return new InferenceResponse({ ...decodeModelInferResponse(reply), headers });
      } catch (thrown) {
        throw invalidResponse(`Cannot read the response of model "${request.modelName}": ${messageOf(thrown)}`, { cause: thrown });
      }
    },
    isLive: (attempt) => readHealth(() => unary.call('ServerLive', EMPTY, attempt)),
    isReady: (attempt) => readHealth(() => unary.call('ServerReady', EMPTY, attempt)),
    isModelReady: (model, version, attempt) => readHealth(() => unary.call('ModelReady', namedVersion(model, version), attempt)),
    serverMetadata: async (attempt) => decodeServerMetadata(await unary.call('ServerMetadata', EMPTY, attempt)),
    modelMetadata: async (model, version, attempt) => decodeModelMetadata(await unary.call('ModelMetadata', namedVersion(model, version), attempt)),
    async models(attempt) {
      const entries = decodeIndex(await unary.call('RepositoryIndex', EMPTY, attempt));
      return [...new Set(entries.map((entry) => entry.name))];
    },
    // RepositoryIndexRequest { repository_name = 1, ready = 2 }
    index: async (readyOnly, attempt) => decodeIndex(await unary.call('RepositoryIndex', encodeFields([[2, readyOnly]]), attempt)),
    async loadModel(model, attempt) {
      checkDone(await unary.call('RepositoryModelLoad', encodeFields([[1, model]]), attempt), `load model "${model}"`);
    },
    async unloadModel(model, attempt) {
      checkDone(await unary.call('RepositoryModelUnload', encodeFields([[1, model]]), attempt), `unload model "${model}"`);
    },
    close: () => {
      unary.close();
    },
  };
}

/** ModelReadyRequest and ModelMetadataRequest { name = 1, version = 2 } */
function namedVersion(model: string, version: string | undefined): Buffer {
  return encodeFields([
    [1, model],
    [2, version],
  ]);
}

/** False also when the server is not there; the servers of the field answer UNAVAILABLE while they are not up. */
async function readHealth(ask: () => Promise<Uint8Array>): Promise<boolean> {
  try {
    return decodeFlag(await ask(), 1);
  } catch (thrown) {
    if (thrown instanceof InferenceError && thrown.reason === 'unavailable') return false;
    throw thrown;
  }
}

/** KServe's replies carry { model_name = 1, isLoaded or isUnloaded = 2 }; Triton's are empty. */
function checkDone(reply: Uint8Array, what: string): void {
  if (reply.length > 0 && !decodeFlag(reply, 2)) throw new InferenceError('unavailable', `Cannot ${what}: the server did not do it`);
}

interface Unary {
  /** `onMetadata` hears the server's initial metadata, which come before the reply. */
  call(method: string, message: Uint8Array, attempt: Attempt, onMetadata?: (metadata: grpcLibrary.Metadata) => void): Promise<Buffer>;
  close(): void;
}

type Grpc = typeof grpcLibrary;
type Client = grpcLibrary.Client;

/** The library takes 80 ms to import: nothing of it is loaded before the first call. */
function createUnary({ address, authority, maxResponseBytes, tls }: TransportOptions): Unary {
  let opening: Promise<{ readonly grpc: Grpc; readonly client: Client }> | undefined;
  let isClosed = false;

  async function open(): Promise<{ readonly grpc: Grpc; readonly client: Client }> {
    const grpc = await import('@grpc/grpc-js');
    const credentials =
      address.protocol === 'grpcs:'
        ? grpc.credentials.createSsl(pem(tls.ca) ?? null, pem(tls.key) ?? null, pem(tls.cert) ?? null)
        : grpc.credentials.createInsecure();
    const port = address.port === '' ? (address.protocol === 'grpcs:' ? '443' : '80') : address.port;
    const limits = { 'grpc.max_receive_message_length': maxResponseBytes, 'grpc.max_send_message_length': -1 };
    const client = new grpc.Client(`${address.hostname}:${port}`, credentials, {
      ...limits,
      ...RECONNECT,
      ...(authority === undefined ? {} : { 'grpc.default_authority': authority }),
    });
    if (isClosed) client.close();
    return { grpc, client };
  }

  return {
    async call(method, message, attempt, onMetadata) {
      opening ??= open();
      const { grpc, client } = await opening;
      const metadata = new grpc.Metadata();
      try {
        for (const [name, value] of Object.entries(attempt.headers)) metadata.set(name, value);
      } catch (thrown) {
        throw invalidCall(`Cannot send the request: ${messageOf(thrown)}`, thrown);
      }
      attempt.signal.throwIfAborted();
      return new Promise<Buffer>((resolve, reject) => {
        const done = (error: grpcLibrary.ServiceError | null, reply?: Buffer): void => {
          attempt.signal.removeEventListener('abort', cancel);
          if (error === null) resolve(reply ?? EMPTY);
          else reject(errorFromStatus(error));
        };
        const request = Buffer.from(message.buffer, message.byteOffset, message.byteLength);
        const deadline = Date.now() + attempt.timeoutMs;
        const running = client.makeUnaryRequest(SERVICE + method, asIs, asIs, request, metadata, { deadline }, done);
        if (onMetadata !== undefined) running.on('metadata', onMetadata);
        const cancel = (): void => {
          running.cancel();
        };
        attempt.signal.addEventListener('abort', cancel, { once: true });
      });
    },
    close: () => {
      isClosed = true;
      void opening?.then(({ client }) => {
        client.close();
      });
    },
  };
}

/** Binary values in base64, as on the wire. */
function joinMetadata(metadata: grpcLibrary.Metadata): Record<string, string> {
  const joined: Record<string, string> = {};
  for (const name of Object.keys(metadata.getMap())) {
    joined[name] = metadata
      .get(name)
      .map((value) => (typeof value === 'string' ? value : value.toString('base64')))
      .join(', ');
  }
  return joined;
}

function asIs(message: Buffer): Buffer {
  return message;
}
