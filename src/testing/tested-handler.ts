import { decodePredictRequest } from '../codec/index.ts';
import type { Measurement } from '../core/batch.ts';
import type { Protocol, RequestContext } from '../core/context.ts';
import type { Body, InferRequest, Verb } from '../core/infer.ts';
import type { Capabilities, Signature } from '../core/metadata.ts';
import { runSteps } from '../core/steps.ts';
import type { Parameters, Tensor } from '../core/tensor.ts';
import { acceptsBody, type DataplaneControl } from '../dataplane/index.ts';
import { reply, type ModelTypes, type TensorsOf } from '../handler/index.ts';
import { TestResponse } from './test-response.ts';

/** Tensors; a whole request; bytes or text of a media type that the handler accepts; or JSON as a v1 client sends it, `{ json: { instances: [ … ] } }`. */
export type TestRequest<C extends ModelTypes = ModelTypes> =
  | readonly TensorsOf<C['inputs']>[]
  | { readonly inputs: readonly TensorsOf<C['inputs']>[]; readonly outputs?: readonly string[]; readonly parameters?: Parameters }
  | { readonly body: Uint8Array | string; readonly contentType: string }
  | { readonly json: unknown };

/** What comes along with a request. */
export interface TestCall {
  /** Names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly id?: string;
  /** `v2-rest` when absent, `v1-rest` for JSON. */
  readonly protocol?: Protocol;
  /** 30,000 when absent; then the request fails with deadline_exceeded, as it does in the server. */
  readonly timeoutMs?: number;
  /** Aborts as a client does that leaves. */
  readonly signal?: AbortSignal;
}

/** A record of `ctx.log`, or of the server on the handler's behalf. */
export interface LogRecord {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A handler that takes requests without a server. */
export interface TestedHandler<C extends ModelTypes = ModelTypes> {
  /** What metadata endpoints would publish. */
  readonly signature: Signature;
  readonly capabilities: Capabilities;
  /** Everything logged so far. */
  readonly logs: readonly LogRecord[];
  /** Everything counted and measured so far. */
  readonly measurements: readonly Measurement[];
  /** Rejects with what a client would be told: `reason` is that of README's table of errors. */
  infer(request: TestRequest<C>, call?: TestCall): Promise<TestResponse<C>>;
  /** As `infer`; an explanation has outputs of its own. */
  explain(request: TestRequest<C>, call?: TestCall): Promise<TestResponse>;
  /** Calls `unload` and frees the model. */
  close(): Promise<void>;
}

export interface TestedParts {
  readonly modelName: string;
  readonly signature: Signature;
  readonly capabilities: Capabilities;
  readonly logs: readonly LogRecord[];
  readonly measurements: readonly Measurement[];
  readonly dataplane: DataplaneControl;
  readonly close: () => Promise<void>;
}

const TIMEOUT_MS = 30_000;
const MOST_JSON_DEPTH = 100;

/** Requests go the way that they go in the server, from the dataplane on. */
export function testedHandler<C extends ModelTypes>(parts: TestedParts): TestedHandler<C> {
  const { signature, capabilities, logs, measurements, dataplane, close } = parts;
  let count = 0;
  const ask = async <Out extends ModelTypes>(verb: Verb, given: TestRequest<C>, call: TestCall): Promise<TestResponse<Out>> => {
    const { timeoutMs = TIMEOUT_MS, headers = {}, id } = call;
    const ctx: RequestContext = {
      id: id ?? `test-${++count}`,
      protocol: call.protocol ?? ('json' in given ? 'v1-rest' : 'v2-rest'),
      signal: call.signal ?? new AbortController().signal,
      deadline: performance.now() + timeoutMs,
      headers: 'body' in given ? { 'content-type': given.contentType, ...headers } : headers,
    };
    const request = { ...readRequest(given, parts), ...(id === undefined ? {} : { id }) };
    return new TestResponse<Out>(await dataplane[verb](request, ctx));
  };
  return {
    signature,
    capabilities,
    logs,
    measurements,
    infer: (request, call = {}) => ask<C>('infer', request, call),
    explain: (request, call = {}) => ask<ModelTypes>('explain', request, call),
    close,
  };
}

function readRequest(given: TestRequest, { modelName, signature, capabilities }: TestedParts): InferRequest {
  if ('body' in given) return { modelName, inputs: [], body: toBody(given.body, given.contentType) };
  if ('json' in given) {
    const { body } = reply(given.json, 'application/json');
    if (signature.isOpen === true || acceptsBody(capabilities.accepts, body.contentType)) return { modelName, inputs: [], body };
    return runSteps(decodePredictRequest(body.bytes, { modelName, signature, maxDepth: MOST_JSON_DEPTH })).request;
  }
  if (!('inputs' in given)) return { modelName, inputs: given satisfies readonly Tensor[] };
  const { inputs, outputs, parameters } = given;
  return {
    modelName,
    inputs,
    ...(outputs === undefined ? {} : { outputs: outputs.map((name) => ({ name })) }),
    ...(parameters === undefined ? {} : { parameters }),
  };
}

function toBody(body: Uint8Array | string, contentType: string): Body {
  return { contentType, bytes: typeof body === 'string' ? new TextEncoder().encode(body) : body };
}
