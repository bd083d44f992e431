import { decodeModelInferResponse, encodeModelInferRequest, FRAME_HEADER_BYTES, HTTP2_HEAD_BYTES, writeFrameHeader } from '../codec/index.ts';
import type { Attempt, Transport } from './client.ts';
import { GrpcChannel } from './grpc-channel.ts';
import { decodeFlag, decodeIndex, decodeModelMetadata, decodeServerMetadata, encodeFields } from './grpc-messages.ts';
import { InferenceError, invalidCall, invalidResponse, messageOf } from './inference-error.ts';
import { InferenceResponse } from './inference-response.ts';
import type { TransportOptions } from './transport-options.ts';

const SERVICE = '/inference.GRPCInferenceService/';
const EMPTY = Buffer.alloc(0);
/** Free space before a message, for the heads that go before it on the wire. */
const HEADROOM = HTTP2_HEAD_BYTES + FRAME_HEADER_BYTES;

/** The Open Inference Protocol over HTTP/2. */
export function createGrpcTransport(options: TransportOptions): Transport {
  const channel = new GrpcChannel(options);
  const ask = async (method: string, message: Buffer, attempt: Attempt): Promise<Buffer> => {
    const reply = await channel.call(SERVICE + method, framed(Buffer.concat([Buffer.alloc(HEADROOM), message])), attempt);
    return reply.message;
  };

  return {
    async infer(request, attempt) {
      if (request.body !== undefined) {
        throw new InferenceError(
          'unimplemented',
          `Cannot send a body of ${request.body.contentType} by gRPC: expected tensors; only HTTP carries bodies`,
        );
      }
      let body: Buffer;
      try {
        body = encodeModelInferRequest(request, { raw: options.isBinary, headroom: HEADROOM });
      } catch (thrown) {
        throw invalidCall(messageOf(thrown), thrown);
      }
      const { message, headers } = await channel.call(`${SERVICE}ModelInfer`, framed(body), attempt);
      try {
        return new InferenceResponse({ ...decodeModelInferResponse(message), headers });
      } catch (thrown) {
        throw invalidResponse(`Cannot read the response of model "${request.modelName}": ${messageOf(thrown)}`, { cause: thrown });
      }
    },
    isLive: (attempt) => readHealth(() => ask('ServerLive', EMPTY, attempt)),
    isReady: (attempt) => readHealth(() => ask('ServerReady', EMPTY, attempt)),
    isModelReady: (model, version, attempt) => readHealth(() => ask('ModelReady', namedVersion(model, version), attempt)),
    serverMetadata: async (attempt) => decodeServerMetadata(await ask('ServerMetadata', EMPTY, attempt)),
    modelMetadata: async (model, version, attempt) => decodeModelMetadata(await ask('ModelMetadata', namedVersion(model, version), attempt)),
    async models(attempt) {
      const entries = decodeIndex(await ask('RepositoryIndex', EMPTY, attempt));
      return [...new Set(entries.map((entry) => entry.name))];
    },
    // RepositoryIndexRequest { repository_name = 1, ready = 2 }
    index: async (readyOnly, attempt) => decodeIndex(await ask('RepositoryIndex', encodeFields([[2, readyOnly]]), attempt)),
    async loadModel(model, attempt) {
      checkDone(await ask('RepositoryModelLoad', encodeFields([[1, model]]), attempt), `load model "${model}"`);
    },
    async unloadModel(model, attempt) {
      checkDone(await ask('RepositoryModelUnload', encodeFields([[1, model]]), attempt), `unload model "${model}"`);
    },
    close: () => {
      channel.close();
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

/** Writes the head of gRPC's frame to the space before the message. */
function framed(body: Buffer): Buffer {
  writeFrameHeader(body, body.length - HEADROOM, HTTP2_HEAD_BYTES);
  return body;
}
