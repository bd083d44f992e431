import type { handleUnaryCall, sendUnaryData, ServerUnaryCall } from '@grpc/grpc-js';
import { checkProtoMessage } from '../../codec/index.ts';
import type { Logger, RequestContext } from '../../core/context.ts';
import { ServingError, severityOf, toServingError } from '../../core/errors.ts';
import { StopSource, type StopSignal } from '../../core/stop-signal.ts';
import { loggableRequestId } from '../../core/request-id.ts';
import { initialMetadata } from './initial-metadata.ts';
import type { GrpcLibrary, Method } from './library.ts';
import { statusOf } from './status.ts';

/** Silent by default; server.ts connects telemetry. */
export interface GrpcObserver {
  /** `code` is the name of the gRPC status. */
  callFinished?(outcome: { readonly method: string; readonly code: string; readonly seconds: number }): void;
}

export interface UnaryDependencies {
  readonly grpc: GrpcLibrary;
  readonly log: Logger;
  readonly observer: GrpcObserver;
  /** -1: no limit. */
  readonly maxSendBytes: number;
}

/** Messages in and out as bytes: decoding is the handler's, so that what it throws becomes the client's error instead of INTERNAL. */
export type UnaryHandler = (message: Buffer, call: IncomingCall) => Buffer | Promise<Buffer>;
export type UnaryImplementation = handleUnaryCall<Buffer, Buffer>;

/** The library's timer for a deadline may fire this much before our clock says so. */
const CLOCK_TOLERANCE_MS = 2;

/** What of a call goes into a RequestContext. */
export class IncomingCall {
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** On the clock of `performance.now()`. */
  readonly deadline: number;
  readonly signal: StopSignal;
  /** What the handler of the model wants to be sent before the answer. */
  responseHeaders: Readonly<Record<string, string>> | undefined;
  private isAnswered = false;
  private requestId: string;

  constructor(call: ServerUnaryCall<Buffer, Buffer>) {
    this.headers = headersOf(call);
    this.requestId = loggableRequestId(this.headers['x-request-id']) ?? '';
    this.deadline = performance.now() + (Number(call.getDeadline()) - Date.now());
    const stop = new StopSource();
    this.signal = stop;
    const onCancelled = (): void => {
      // Emitted after each answer, too, and at the deadline, which is the scheduler's to watch.
      if (this.isAnswered || performance.now() >= this.deadline - CLOCK_TOLERANCE_MS) return;
      stop.abort(new ServingError('cancelled', 'Call cancelled by the client'));
    };
    if (call.cancelled) onCancelled();
    else call.once('cancelled', onCancelled);
  }

  get id(): string {
    return this.requestId;
  }

  /** `id` is the message's own. */
  context(id: string): RequestContext {
    this.requestId = loggableRequestId(id) ?? (this.requestId || process.getBuiltinModule('node:crypto').randomUUID());
    const { headers, deadline, signal } = this;
    return { id: this.requestId, protocol: 'v2-grpc', signal, deadline, headers };
  }

  answered(): void {
    this.isAnswered = true;
  }
}

/** Wraps a handler: answers exactly once, maps and logs what it throws. */
export function unary(deps: UnaryDependencies, method: string, handler: UnaryHandler): UnaryImplementation {
  return (call, callback) => {
    void answer(deps, method, handler, call, callback);
  };
}

/** A handler of decoded messages, for all but tensors. What it takes is what the .proto file says of the method's request. */
export function decoded(method: Method, handle: (request: never) => object | Promise<object>): UnaryHandler {
  return async (message) => {
    const request = decodeSmall(method, message);
    return method.responseSerialize(await handle(request as never));
  };
}

/** Throws invalid_request. */
export function decodeSmall(method: Method, message: Buffer): object {
  const what = `request of ${method.path}`;
  checkProtoMessage(message, what);
  try {
    return method.requestDeserialize(message);
  } catch (cause) {
    throw new ServingError('invalid_request', `Cannot decode ${what}: its fields are not those of the message`, { cause });
  }
}

/** Never rejects. */
async function answer(
  deps: UnaryDependencies,
  method: string,
  handler: UnaryHandler,
  call: ServerUnaryCall<Buffer, Buffer>,
  callback: sendUnaryData<Buffer>,
): Promise<void> {
  const startedAt = performance.now();
  const incoming = new IncomingCall(call);
  let code = 'OK';
  try {
    const reply = await handler(call.request, incoming);
    checkSize(reply, deps.maxSendBytes);
    if (incoming.responseHeaders !== undefined) call.sendMetadata(initialMetadata(deps.grpc, incoming.responseHeaders));
    incoming.answered();
    callback(null, reply);
  } catch (thrown) {
    const error = toServingError(thrown);
    const status = statusOf(deps.grpc, error);
    code = deps.grpc.status[status.code ?? deps.grpc.status.UNKNOWN];
    report(deps.log, method, incoming.id, error);
    incoming.answered();
    callback(status);
  }
  deps.observer.callFinished?.({ method, code, seconds: (performance.now() - startedAt) / 1000 });
}

/** Said here rather than by the library, whose words do not name the option. */
function checkSize(reply: Buffer, maxSendBytes: number): void {
  if (maxSendBytes >= 0 && reply.length > maxSendBytes) {
    const limit = `expected at most ${maxSendBytes} (--grpc_max_send_message_length)`;
    throw new ServingError('payload_too_large', `Cannot send a response of ${reply.length} bytes: ${limit}`);
  }
}

function report(log: Logger, method: string, requestId: string, error: ServingError): void {
  const severity = severityOf(error);
  const fields = { method, requestId, reason: error.reason, ...error.details, ...(severity === 'error' && { err: error }) };
  log[severity](fields, `gRPC call failed: ${error.message}`);
}

/** The first value of each key; binary values in base64, as on the wire. */
function headersOf(call: ServerUnaryCall<Buffer, Buffer>): Record<string, string | undefined> {
  const headers = Object.create(null) as Record<string, string | undefined>;
  for (const [key, value] of Object.entries(call.metadata.getMap())) headers[key] = typeof value === 'string' ? value : value.toString('base64');
  return headers;
}
