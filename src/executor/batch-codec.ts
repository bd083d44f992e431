import type { Batch, BatchMember, BatchResult, Execution, Settled, StageTimings } from '../core/batch.ts';
import type { RequestContext } from '../core/context.ts';
import { ERROR_TABLE, ServingError, type ErrorReason } from '../core/errors.ts';
import type { InferRequest, InferResponse, RequestedOutput } from '../core/infer.ts';
import { StopSource, type StopSignal } from '../core/stop-signal.ts';
import type { Tensor } from '../core/tensor.ts';
import type { Frame } from './frame.ts';
import { decodeMeasurements, encodeMeasurements, type WireMeasurement } from './measurement-codec.ts';
import { decodeBody, decodeContext, decodeHeaders, encodeBody, encodeContext, type WireBody, type WireContext } from './rich-codec.ts';
import {
  asArray,
  asRecord,
  decodeParameters,
  encodeParameters,
  encodeTensor,
  malformed,
  TensorReader,
  type WireParameters,
  type WireTensor,
} from './tensor-codec.ts';

/** Metadata and tensors of a frame to be written. */
export interface Encoded<T> {
  readonly metadata: T;
  readonly tensors: readonly Uint8Array[];
}

interface WireMessage {
  readonly modelName: string;
  readonly modelVersion?: string;
  readonly id?: string;
  readonly parameters?: WireParameters;
  readonly tensors: readonly WireTensor[];
  /** Its bytes follow those of the tensors. */
  readonly body?: WireBody;
  readonly headers?: Readonly<Record<string, string>>;
}

interface WireRequest extends WireMessage {
  readonly outputs?: readonly { readonly name: string; readonly parameters?: WireParameters }[];
  /** For models that run user code or ask a predictor elsewhere; the others know tensors only. */
  readonly ctx?: WireContext;
}

export interface WireError {
  readonly reason: string;
  readonly message: string;
  readonly details?: unknown;
}

type WireSettled = WireMessage | { readonly error: WireError };

/** Metadata of a `run` frame; the tensors are the inputs of the first request, then of the second, … */
export interface WireBatch {
  readonly members: readonly WireRequest[];
}

/** Metadata of a `reply` frame. */
export interface WireResult {
  readonly timings: StageTimings;
  readonly responses: readonly WireSettled[];
  readonly measurements?: readonly WireMeasurement[];
  readonly executions?: readonly Execution[];
  readonly maxRows?: number;
  readonly isWornOut?: true;
}

/** `isRich`: what travels beside tensors goes along too, verb, context and bodies. */
export function encodeBatch(members: readonly BatchMember[], isRich: boolean): Encoded<WireBatch> {
  const tensors: Uint8Array[] = [];
  const encode = isRich
    ? (member: BatchMember): WireRequest => ({ ...encodeRequest(member.request, tensors), ctx: encodeContext(member) })
    : ({ request }: BatchMember): WireRequest => encodeRequest(request, tensors);
  return { metadata: { members: members.map(encode) }, tensors };
}

function encodeRequest(request: InferRequest, chunks: Uint8Array[]): WireRequest {
  const message = encodeMessage(request, request.inputs, chunks);
  if (request.outputs === undefined) return message;
  const outputs = request.outputs.map(({ name, parameters }) =>
    parameters === undefined ? { name } : { name, parameters: encodeParameters(parameters) },
  );
  return { ...message, outputs };
}

function encodeMessage(message: InferRequest | InferResponse, tensors: readonly Tensor[], chunks: Uint8Array[]): WireMessage {
  return {
    modelName: message.modelName,
    ...(message.modelVersion === undefined ? undefined : { modelVersion: message.modelVersion }),
    ...(message.id === undefined ? undefined : { id: message.id }),
    ...(message.parameters === undefined ? undefined : { parameters: encodeParameters(message.parameters) }),
    tensors: tensors.map((tensor) => encodeTensor(tensor, chunks)),
    ...(message.body === undefined ? undefined : { body: encodeBody(message.body, chunks) }),
  };
}

function encodeResponse(response: InferResponse, chunks: Uint8Array[]): WireMessage {
  const message = encodeMessage(response, response.outputs, chunks);
  return response.headers === undefined ? message : { ...message, headers: response.headers };
}

/** What a model sees that knows tensors only. */
const PLAIN_CONTEXT: RequestContext = { id: '', protocol: 'v2-rest', signal: new StopSource(), deadline: Infinity, headers: {} };

/** The requests of a `run` frame with the signals that `signalOf` gives them. Throws ServingError internal. */
export function decodeBatch(frame: Frame, signalOf: (member: number) => StopSignal): Batch {
  const reader = new TensorReader(frame);
  const members = asArray(asRecord(frame.metadata, 'batch')['members'], 'members').map((wire, i) =>
    decodeMember(asRecord(wire, 'request'), reader, signalOf(i)),
  );
  reader.end();
  return { members };
}

function decodeMember(wire: Readonly<Record<string, unknown>>, reader: TensorReader, signal: StopSignal): BatchMember {
  const request = decodeRequest(wire, reader);
  return wire['ctx'] === undefined
    ? { verb: 'infer', request, ctx: PLAIN_CONTEXT, signal }
    : { request, signal, ...decodeContext(wire['ctx'], signal) };
}

function decodeRequest(wire: Readonly<Record<string, unknown>>, reader: TensorReader): InferRequest {
  const common = decodeMessage(wire);
  const inputs = decodeTensors(wire, reader);
  return {
    ...common,
    inputs,
    ...(wire['outputs'] === undefined ? undefined : { outputs: asArray(wire['outputs'], 'outputs').map(decodeRequestedOutput) }),
    ...(wire['body'] === undefined ? undefined : { body: decodeBody(wire['body'], reader) }),
  };
}

function decodeRequestedOutput(wire: unknown): RequestedOutput {
  const { name, parameters } = asRecord(wire, 'requested output');
  if (typeof name !== 'string') throw malformed('requested output');
  return parameters === undefined ? { name } : { name, parameters: decodeParameters(parameters) };
}

function decodeTensors(wire: Readonly<Record<string, unknown>>, reader: TensorReader): readonly Tensor[] {
  return asArray(wire['tensors'], 'tensors').map((tensor) => reader.read(tensor));
}

function decodeMessage(wire: Readonly<Record<string, unknown>>): Omit<InferResponse, 'outputs' | 'body' | 'headers'> {
  const { modelName, modelVersion, id, parameters } = wire;
  if (typeof modelName !== 'string') throw malformed('model name');
  return {
    modelName,
    ...(typeof modelVersion === 'string' ? { modelVersion } : undefined),
    ...(typeof id === 'string' ? { id } : undefined),
    ...(parameters === undefined ? undefined : { parameters: decodeParameters(parameters) }),
  };
}

export function encodeResult(result: BatchResult): Encoded<WireResult> {
  const tensors: Uint8Array[] = [];
  const responses = result.responses.map((settled) => (settled.ok ? encodeResponse(settled.value, tensors) : { error: encodeError(settled.error) }));
  const { measurements, executions, maxRows, isWornOut } = result;
  return {
    metadata: {
      timings: result.timings,
      responses,
      ...(measurements === undefined ? undefined : { measurements: encodeMeasurements(measurements) }),
      ...(executions === undefined ? undefined : { executions }),
      ...(maxRows === undefined ? undefined : { maxRows }),
      ...(isWornOut === undefined ? undefined : { isWornOut }),
    },
    tensors,
  };
}

/** Throws ServingError internal when the frame is malformed or does not answer `count` requests. */
export function decodeResult(frame: Frame, count: number): BatchResult {
  const { timings, responses, measurements, executions, maxRows, isWornOut } = asRecord(frame.metadata, 'result');
  const settled = asArray(responses, 'responses');
  if (settled.length !== count) throw malformed(`result: ${settled.length} answers for ${count} requests`);
  const reader = new TensorReader(frame);
  const decoded = settled.map((wire) => decodeSettled(asRecord(wire, 'response'), reader));
  reader.end();
  return {
    responses: decoded,
    timings: decodeTimings(asRecord(timings, 'timings')),
    ...(measurements === undefined ? undefined : { measurements: decodeMeasurements(measurements) }),
    ...(executions === undefined ? undefined : { executions: asArray(executions, 'executions').map(decodeExecution) }),
    ...(typeof maxRows === 'number' ? { maxRows } : undefined),
    ...(isWornOut === true ? { isWornOut } : undefined),
  };
}

function decodeExecution(wire: unknown): Execution {
  const { members, rows, inputMs, inferMs, outputMs } = asRecord(wire, 'execution');
  if (typeof members !== 'number' || typeof rows !== 'number') throw malformed('execution');
  if (typeof inputMs !== 'number' || typeof inferMs !== 'number' || typeof outputMs !== 'number') throw malformed('execution');
  return { members, rows, inputMs, inferMs, outputMs };
}

function decodeSettled(wire: Readonly<Record<string, unknown>>, reader: TensorReader): Settled<InferResponse> {
  if (wire['error'] !== undefined) return { ok: false, error: decodeError(wire['error']) };
  const common = decodeMessage(wire);
  const outputs = decodeTensors(wire, reader);
  const value = {
    ...common,
    outputs,
    ...(wire['body'] === undefined ? undefined : { body: decodeBody(wire['body'], reader) }),
    ...(wire['headers'] === undefined ? undefined : { headers: decodeHeaders(wire['headers']) }),
  };
  return { ok: true, value };
}

function decodeTimings({ preprocessMs, predictMs, postprocessMs, explainMs }: Readonly<Record<string, unknown>>): StageTimings {
  if (typeof preprocessMs !== 'number' || typeof predictMs !== 'number' || typeof postprocessMs !== 'number') throw malformed('timings');
  return typeof explainMs === 'number' ? { preprocessMs, predictMs, postprocessMs, explainMs } : { preprocessMs, predictMs, postprocessMs };
}

/** Longest text about a cause that crosses. */
const MAX_CAUSE_CHARS = 4096;

export function encodeError(error: ServingError): WireError {
  const { reason, message, cause } = error;
  const origin = cause instanceof Error ? (cause.stack ?? String(cause)) : undefined;
  const details = origin === undefined ? error.details : { ...error.details, cause: origin.slice(0, MAX_CAUSE_CHARS) };
  return details === undefined ? { reason, message } : { reason, message, details: toJsonSafe(details) };
}

export function decodeError(wire: unknown): ServingError {
  const { reason, message, details } = asRecord(wire, 'error');
  if (typeof reason !== 'string' || typeof message !== 'string') throw malformed('error');
  const known = Object.hasOwn(ERROR_TABLE, reason) ? (reason as ErrorReason) : 'internal';
  return details === undefined
    ? new ServingError(known, message)
    : new ServingError(known, message, { details: { ...asRecord(details, 'details') } });
}

/** `fields` as JSON can carry them: errors with their stack, big integers as text, a note where they cannot be written at all. */
export function toJsonSafe(fields: object): unknown {
  try {
    return JSON.parse(JSON.stringify(fields, (_key, value: unknown) => jsonValue(value)));
  } catch (error) {
    return { unreadable: String(error) };
  }
}

function jsonValue(value: unknown): unknown {
  if (typeof value === 'bigint') return String(value);
  return value instanceof Error ? { name: value.name, message: value.message, stack: value.stack } : value;
}
