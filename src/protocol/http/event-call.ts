import { CloudEvent, HTTP, ValidationError } from 'cloudevents';
import { BINARY_CONTENT_TYPE, checkEventJson, decodeEventEnvelope, encodeEventEnvelope, isJsonType, type AttributeValue } from '../../codec/index.ts';
import { invalidRequest, isServingError, type ServingError } from '../../core/errors.ts';
import type { HttpCall, HttpReply } from '../../core/http.ts';
import { runCodec } from './codec-steps.ts';
import { STRUCTURED_JSON, type EventMode, type EventOptions } from './event-mode.ts';

/** An event with the call that it stands for: its data is the body, the data's media type the Content-Type. */
export interface OpenEvent {
  readonly call: HttpCall;
  readonly mode: EventMode;
  readonly attributes: ReadonlyMap<string, AttributeValue>;
}

type Attributes = OpenEvent['attributes'];

const PREFIX = 'ce-';
/** In binary mode Content-Type says it; KServe's clients also send it as one of these. */
const CONTENT_TYPE_HEADERS = ['ce-content-type', 'ce-contenttype', 'ce-datacontenttype'] as const;
const REQUIRED = ['specversion', 'id', 'source', 'type'] as const;
const OPTIONAL: ReadonlySet<string> = new Set(['datacontenttype', 'dataschema', 'subject', 'time']);
/** CloudEvents know no dashes in names, but KServe's users have them. */
const EXTENSION_NAME = /^[a-z0-9][a-z0-9-]*$/;
/** What every answer has of its own, and what the library takes for more than an extension. */
const OWN: ReadonlySet<string> = new Set(['id', 'time', 'datacontenttype', 'data', 'schemaurl']);

/** Throws invalid_request that names the attribute at fault. A structured event is read to its end, a binary one when the call's body is asked for. */
export async function openEvent(call: HttpCall, mode: EventMode, maxJsonDepth: number): Promise<OpenEvent> {
  return mode === 'structured' ? await openStructured(call, maxJsonDepth) : openBinary(call, maxJsonDepth);
}

/** The reply as an event: a new id and time, type and source as configured, and with `ceMerge` the other attributes of the event that is answered. */
export function wrapReply(reply: HttpReply, { mode, attributes }: OpenEvent, modelName: string, options: EventOptions): HttpReply {
  const kept = options.ceMerge ? [...attributes].filter(([name]) => !OWN.has(name)) : [];
  const event = new CloudEvent(
    { ...Object.fromEntries(kept), type: options.ceType, source: options.ceSource ?? `io.kserve.inference.${encodeURIComponent(modelName)}` },
    // Extensions were checked when they came in; their names may have dashes.
    false,
  );
  const contentType = reply.headers?.['content-type'] ?? BINARY_CONTENT_TYPE;
  if (mode === 'binary') return { ...reply, headers: { ...eventHeaders(event), 'content-type': contentType, ...reply.headers } };
  const { body = [] } = reply;
  const chunks = typeof body === 'string' ? [Buffer.from(body)] : body;
  return {
    status: reply.status,
    headers: { ...reply.headers, 'content-type': STRUCTURED_JSON },
    body: encodeEventEnvelope(event.toJSON(), contentType, chunks),
  };
}

async function openStructured(call: HttpCall, maxJsonDepth: number): Promise<OpenEvent> {
  const body = await call.readBody();
  const { attributes, contentType, bytes } = await runCodec(decodeEventEnvelope(body, maxJsonDepth), body.byteLength, call.signal);
  checkAttributes(attributes);
  return { mode: 'structured', attributes, call: innerCall(call, contentType, () => Promise.resolve(bytes)) };
}

function openBinary(call: HttpCall, maxJsonDepth: number): OpenEvent {
  const attributes = readHeaders(call.headers);
  checkAttributes(attributes);
  const contentType = call.headers['content-type'] ?? CONTENT_TYPE_HEADERS.map((name) => call.headers[name]).find((value) => value !== undefined);
  const readBody = async (): Promise<Uint8Array> => {
    const bytes = await call.readBody();
    if (contentType === undefined || isJsonType(contentType)) await checkJson(bytes, maxJsonDepth, call);
    return bytes;
  };
  return { mode: 'binary', attributes, call: innerCall(call, contentType, readBody) };
}

/** In KServe's own words, which its tests look for. */
async function checkJson(bytes: Uint8Array, maxJsonDepth: number, call: HttpCall): Promise<void> {
  try {
    await runCodec(checkEventJson(bytes, maxJsonDepth), bytes.byteLength, call.signal);
  } catch (thrown) {
    if (!isServingError(thrown) || thrown.reason !== 'invalid_request') throw thrown;
    throw invalidRequest(`Failed to decode or parse binary json cloudevent: ${thrown.message}`);
  }
}

function innerCall(call: HttpCall, contentType: string | undefined, readBody: () => Promise<Uint8Array>): HttpCall {
  const { method, params, id, signal, receivedAt } = call;
  return {
    method,
    params,
    headers: { ...call.headers, 'content-type': contentType },
    id,
    signal,
    receivedAt,
    get log() {
      return call.log;
    },
    readBody,
    useBody: async (use) => await use(await readBody()),
  };
}

function readHeaders(headers: HttpCall['headers']): Map<string, string> {
  const attributes = new Map<string, string>();
  for (const [header, value] of Object.entries(headers)) {
    if (!header.startsWith(PREFIX) || value === undefined || CONTENT_TYPE_HEADERS.some((name) => name === header)) continue;
    const name = header.slice(PREFIX.length);
    attributes.set(name, decodeHeader(name, value));
  }
  return attributes;
}

/** Values are percent-encoded UTF-8 (HTTP protocol binding section 3.1.3.2). */
function decodeHeader(name: string, value: string): string {
  if (!value.includes('%')) return value;
  try {
    return decodeURIComponent(value);
  } catch {
    throw invalidEvent(`expected attribute "${name}" to be percent-encoded UTF-8, got "${value.slice(0, 100)}"`);
  }
}

function checkAttributes(attributes: Attributes): void {
  const known: Record<string, AttributeValue> = {};
  for (const name of REQUIRED) {
    const value = attributes.get(name);
    if (value === undefined || value === '') throw invalidEvent(`expected attribute "${name}", got none`);
    known[name] = value;
  }
  if (known['specversion'] !== '1.0') throw invalidEvent(`expected attribute "specversion" to be 1.0, got ${quote(known['specversion'])}`);
  for (const [name, value] of attributes) {
    if (OPTIONAL.has(name)) known[name] = value;
    else if (!EXTENSION_NAME.test(name)) throw invalidEvent(`expected lower-case letters and digits as names of attributes, got ${quote(name)}`);
  }
  try {
    new CloudEvent(known);
  } catch (thrown) {
    if (!(thrown instanceof ValidationError)) throw thrown;
    throw invalidEvent(describe(thrown, known));
  }
}

/** The schema's first complaint, which names the attribute by a JSON pointer. */
function describe({ errors, message }: ValidationError, known: Readonly<Record<string, AttributeValue>>): string {
  const first: unknown = errors?.[0];
  if (typeof first !== 'object' || first === null || !('instancePath' in first) || !('message' in first)) return message.slice(0, 200);
  const name = String(first.instancePath).slice(1);
  return `attribute "${name}" ${String(first.message)}, got ${quote(known[name])}`;
}

function quote(value: AttributeValue | undefined): string {
  const text = JSON.stringify(value ?? null);
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}

function eventHeaders(event: CloudEvent): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(HTTP.binary(event).headers)) {
    if (name.startsWith(PREFIX)) headers[name] = encodeHeader(String(value));
  }
  return headers;
}

/** Percent-encodes what the binding wants: control and non-ASCII characters, space, quote and percent sign. */
function encodeHeader(value: string): string {
  return value.replace(/[^\x21\x23\x24\x26-\x7e]/gu, encodeURIComponent);
}

/** KServe's own words, which its tests look for. */
function invalidEvent(problem: string): ServingError {
  return invalidRequest(`Cloud Event Exceptions: ${problem}`);
}
