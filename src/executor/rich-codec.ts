import type { BatchMember } from '../core/batch.ts';
import type { Protocol, RequestContext } from '../core/context.ts';
import type { Body, Verb } from '../core/infer.ts';
import type { StopSignal } from '../core/stop-signal.ts';
import { asRecord, malformed, type TensorReader } from './tensor-codec.ts';

/** What travels beside a request to user code, or to a predictor elsewhere. */
export interface WireContext {
  readonly verb: Verb;
  readonly id: string;
  readonly protocol: Protocol;
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** Milliseconds until the deadline when it was sent: the two processes have clocks of their own. Absent without one. */
  readonly remainingMs?: number;
}

/** `bytes` is their number; they follow the tensors of their message. */
export interface WireBody {
  readonly contentType: string;
  readonly bytes: number;
}

export function encodeContext({ verb, ctx: { id, protocol, headers, deadline } }: BatchMember): WireContext {
  const common = { verb, id, protocol, headers };
  return deadline === Infinity ? common : { ...common, remainingMs: Math.max(0, deadline - performance.now()) };
}

/** The context on this process's clock; its signal is the member's own. Throws ServingError internal. */
export function decodeContext(wire: unknown, signal: StopSignal): Pick<BatchMember, 'verb' | 'ctx'> {
  const { verb, id, protocol, headers, remainingMs } = asRecord(wire, 'context');
  if ((verb !== 'infer' && verb !== 'explain') || typeof id !== 'string' || !isProtocol(protocol)) throw malformed('context');
  const deadline = typeof remainingMs === 'number' ? performance.now() + remainingMs : Infinity;
  const ctx: RequestContext = { id, protocol, signal, deadline, headers: decodeHeaders(headers) };
  return { verb, ctx };
}

function isProtocol(value: unknown): value is Protocol {
  return value === 'v2-rest' || value === 'v2-grpc' || value === 'v1-rest';
}

/** Throws ServingError internal when a value is no text. */
export function decodeHeaders(wire: unknown): Readonly<Record<string, string>> {
  const headers = asRecord(wire, 'headers');
  for (const name of Object.keys(headers)) if (typeof headers[name] !== 'string') throw malformed('headers');
  return headers as Readonly<Record<string, string>>;
}

/** Describes `body` and adds its bytes, as they lie, to `chunks`. */
export function encodeBody({ contentType, bytes }: Body, chunks: Uint8Array[]): WireBody {
  chunks.push(bytes);
  return { contentType, bytes: bytes.byteLength };
}

/** A view, no copy. Throws ServingError internal. */
export function decodeBody(wire: unknown, reader: TensorReader): Body {
  const { contentType, bytes } = asRecord(wire, 'body');
  if (typeof contentType !== 'string' || typeof bytes !== 'number') throw malformed('body');
  return { contentType, bytes: reader.readBytes(bytes) };
}
