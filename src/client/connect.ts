import type { InferRequest, RequestedOutput } from '../core/infer.ts';
import type { ModelIndexEntry, ModelMetadata, ServerMetadata } from '../core/metadata.ts';
import { createParameters } from '../core/tensor.ts';
import { ClientCalls, checkTimeout, lowerCaseNames } from './client-calls.ts';
import type { CallOptions, ConnectOptions, Inference, InferenceClient, Transport } from './client.ts';
import { createGrpcTransport } from './grpc-transport.ts';
import { invalidCall } from './inference-error.ts';
import type { InferenceResponse } from './inference-response.ts';
import { createRestTransport } from './rest-transport.ts';
import { createV1Transport } from './v1-transport.ts';
import type { TransportOptions } from './transport-options.ts';

const DEFAULT_TIMEOUT_MS = 60_000;
const DEFAULT_RETRIES = 3;
const DEFAULT_MAX_RESPONSE_BYTES = 2 ** 30;
const DEFAULT_MAX_CONNECTIONS = 64;

/**
 * A client of the server at `url`: `http://host:port[/base/path]` or `https://…` for REST, `grpc://host:port` or `grpcs://…` for gRPC. Nothing is
 * sent before the first call. Throws InferenceError `invalid_request` for an address or option that cannot be used.
 */
export function connect(url: string, options: ConnectOptions = {}): InferenceClient {
  const address = parseAddress(url);
  const transportOptions: TransportOptions = {
    address,
    authority: options.authority,
    isBinary: options.binary ?? true,
    maxResponseBytes: checkCount('maxResponseBytes', options.maxResponseBytes ?? DEFAULT_MAX_RESPONSE_BYTES, 1),
    maxConnections: checkCount('maxConnections', options.maxConnections ?? DEFAULT_MAX_CONNECTIONS, 1),
    tls: options.tls ?? {},
  };
  const calls = new ClientCalls({
    timeoutMs: checkTimeout(options.timeoutMs ?? DEFAULT_TIMEOUT_MS),
    retries: checkCount('retries', options.retries ?? DEFAULT_RETRIES, 0),
    retryOn: options.retryOn ?? ((error) => error.retryable),
    headers: lowerCaseNames(options.headers ?? {}),
  });
  return new Client(calls, createTransport(transportOptions, options.protocol ?? 'v2'));
}

function createTransport(options: TransportOptions, protocol: 'v1' | 'v2'): Transport {
  const { address } = options;
  const isGrpc = address.protocol === 'grpc:' || address.protocol === 'grpcs:';
  if (protocol === 'v2') return isGrpc ? createGrpcTransport(options) : createRestTransport(options);
  if (isGrpc) throw invalidCall(`Cannot connect to "${address.href}": the v1 protocol needs http:// or https://`);
  return createV1Transport(options);
}

/** Puts one transport's attempts and the rules of calls together. */
class Client implements InferenceClient {
  readonly #calls: ClientCalls;
  readonly #transport: Transport;

  constructor(calls: ClientCalls, transport: Transport) {
    this.#calls = calls;
    this.#transport = transport;
  }

  async infer(model: string, inference: Inference, options: CallOptions = {}): Promise<InferenceResponse> {
    const request = toInferRequest(checkName(model), inference);
    return this.#calls.run(`infer with model "${model}"`, options, (attempt) => this.#transport.infer(request, attempt));
  }

  async isLive(options: CallOptions = {}): Promise<boolean> {
    return this.#calls.run('ask whether the server is live', options, (attempt) => this.#transport.isLive(attempt), 0);
  }

  async isReady(options: CallOptions = {}): Promise<boolean> {
    return this.#calls.run('ask whether the server is ready', options, (attempt) => this.#transport.isReady(attempt), 0);
  }

  async isModelReady(model: string, version?: string, options: CallOptions = {}): Promise<boolean> {
    checkName(model);
    return this.#calls.run(`ask whether model "${model}" is ready`, options, (attempt) => this.#transport.isModelReady(model, version, attempt), 0);
  }

  async serverMetadata(options: CallOptions = {}): Promise<ServerMetadata> {
    return this.#calls.run('read the server metadata', options, (attempt) => this.#transport.serverMetadata(attempt));
  }

  async modelMetadata(model: string, version?: string, options: CallOptions = {}): Promise<ModelMetadata> {
    checkName(model);
    return this.#calls.run(`read the metadata of model "${model}"`, options, (attempt) => this.#transport.modelMetadata(model, version, attempt));
  }

  async models(options: CallOptions = {}): Promise<readonly string[]> {
    return this.#calls.run('list the models', options, (attempt) => this.#transport.models(attempt));
  }

  async index(filter: { readonly readyOnly?: boolean } = {}, options: CallOptions = {}): Promise<readonly ModelIndexEntry[]> {
    return this.#calls.run('read the repository index', options, (attempt) => this.#transport.index(filter.readyOnly ?? false, attempt));
  }

  async loadModel(model: string, options: CallOptions = {}): Promise<void> {
    checkName(model);
    return this.#calls.run(`load model "${model}"`, options, (attempt) => this.#transport.loadModel(model, attempt));
  }

  async unloadModel(model: string, options: CallOptions = {}): Promise<void> {
    checkName(model);
    return this.#calls.run(`unload model "${model}"`, options, (attempt) => this.#transport.unloadModel(model, attempt));
  }

  close(): void {
    this.#calls.close();
    this.#transport.close();
  }
}

function toInferRequest(modelName: string, inference: Inference): InferRequest {
  const { version, id, parameters, inputs, body, outputs } = inference;
  if (body !== undefined && inputs.length > 0) throw invalidCall(`Cannot infer with model "${modelName}": expected inputs or a body, got both`);
  return {
    modelName,
    inputs,
    ...(body === undefined ? {} : { body }),
    ...(version === undefined ? {} : { modelVersion: version }),
    ...(id === undefined ? {} : { id }),
    ...(parameters === undefined ? {} : { parameters: createParameters(Object.entries(parameters)) }),
    ...(outputs === undefined ? {} : { outputs: outputs.map(toRequestedOutput) }),
  };
}

function toRequestedOutput(output: string | RequestedOutput): RequestedOutput {
  return typeof output === 'string' ? { name: output } : output;
}

function checkName(model: string): string {
  if (model === '') throw invalidCall('Cannot call a model: expected its name, got ""');
  return model;
}

function checkCount(option: string, value: number, least: number): number {
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw invalidCall(`Cannot use ${option} ${value}: expected an integer of at least ${least}`);
}

const PROTOCOLS: readonly string[] = ['http:', 'https:', 'grpc:', 'grpcs:'];

function parseAddress(url: string): URL {
  const address = URL.canParse(url) ? new URL(url) : undefined;
  if (address === undefined || !PROTOCOLS.includes(address.protocol) || address.hostname === '') {
    throw invalidCall(`Cannot connect to "${url}": expected http://, https://, grpc:// or grpcs:// with a host`);
  }
  if (address.username !== '' || address.password !== '' || address.search !== '' || address.hash !== '') {
    throw invalidCall(
      `Cannot connect to "${address.host}": expected no user, query or fragment in the address; credentials go into the headers option`,
    );
  }
  if (address.protocol.startsWith('grpc') && address.pathname !== '' && address.pathname !== '/') {
    throw invalidCall(`Cannot connect to "${url}": gRPC knows no base path`);
  }
  return address;
}
