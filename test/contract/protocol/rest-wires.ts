import { once } from 'node:events';
import http2 from 'node:http2';
import { ERROR_TABLE, type ErrorReason } from '../../../src/core/errors.ts';
import type { Signature } from '../../../src/core/metadata.ts';
import {
  fromJson,
  fromJsonValue,
  fromRaw,
  toJson,
  toRaw,
  type Outcome,
  type PlainRequest,
  type PlainResponse,
  type PlainTensor,
  type Value,
  type Wire,
} from './wire.ts';

/** Says of a JSON body that it is the handler's own. */
export const OWN_BODY = 'x-own-body';

const statusOf = (reason: ErrorReason): string => String(ERROR_TABLE[reason].http);

interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Buffer;
}

type Post = (url: string, headers: Readonly<Record<string, string>>, body: Uint8Array | string) => Promise<Reply>;

/** HTTP/2 with prior knowledge. */
const postOverHttp2: Post = async (url, headers, body) => {
  const { origin, pathname } = new URL(url);
  const session = http2.connect(origin);
  try {
    const stream = session.request({ ...headers, ':method': 'POST', ':path': pathname });
    stream.end(body);
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    const [[answered]] = await Promise.all([once(stream, 'response') as Promise<[http2.IncomingHttpHeaders]>, once(stream, 'end')]);
    const own = Object.entries(answered).filter(([name]) => !name.startsWith(':')) as [string, string][];
    return { status: Number(answered[':status']), headers: new Headers(own), body: Buffer.concat(chunks) };
  } finally {
    session.close();
  }
};

const post: Post = async (url, headers, body) => {
  const reply = await fetch(url, { method: 'POST', headers, body });
  return { status: reply.status, headers: reply.headers, body: Buffer.from(await reply.arrayBuffer()) };
};

/** Posts tensors as the wire encodes them, or the body that the request has instead. A handler's own body is what no wire would send. */
async function exchange(
  url: string,
  request: PlainRequest,
  encoded: { readonly headers: Readonly<Record<string, string>>; readonly body: Uint8Array | string },
  read: (reply: Reply) => Omit<PlainResponse, 'headers'>,
  send: Post = post,
): Promise<Outcome> {
  const { body } = request;
  const headers = { ...request.headers, ...(body === undefined ? encoded.headers : { 'content-type': body.contentType }) };
  const reply = await send(url, headers, body?.bytes ?? encoded.body);
  if (reply.status !== 200) return failure(reply.status, reply.body);
  const contentType = reply.headers.get('content-type') ?? '';
  const isOwn = !['application/json', 'application/octet-stream'].includes(contentType) || reply.headers.has(OWN_BODY);
  const response = isOwn ? { model: request.model, outputs: [], body: { contentType, bytes: reply.body } } : read(reply);
  return { ok: true, response: { ...response, headers: Object.fromEntries(reply.headers) } };
}

function failure(status: number, body: Buffer): Outcome {
  const { error } = JSON.parse(body.toString()) as { error: string };
  return { ok: false, status: String(status), message: error };
}

const inferPath = ({ model, version, verb }: PlainRequest): string =>
  `/v2/models/${encodeURIComponent(model)}${version === undefined ? '' : `/versions/${encodeURIComponent(version)}`}/${verb ?? 'infer'}`;

interface JsonOutput {
  readonly name: string;
  readonly datatype: string;
  readonly shape: number[];
  readonly data?: unknown[];
  readonly parameters?: { readonly binary_data_size?: number };
}

interface JsonResponse {
  readonly model_name: string;
  readonly model_version?: string;
  readonly id?: string;
  readonly outputs: JsonOutput[];
}

export function v2JsonWire(url: string, version: 'HTTP/1.1' | 'HTTP/2' = 'HTTP/1.1'): Wire {
  return {
    name: 'v2 JSON',
    statusOf,
    close: () => undefined,
    infer: async (request) => {
      const body = toJson({
        id: request.id,
        parameters: request.parameters,
        inputs: request.inputs.map(({ name, datatype, shape, values }) => ({ name, datatype, shape, data: values })),
        outputs: request.outputs?.map((name) => ({ name })),
      });
      const read = (reply: Reply): Omit<PlainResponse, 'headers'> => {
        const parsed = fromJson(reply.body.toString()) as JsonResponse;
        return {
          model: parsed.model_name,
          version: parsed.model_version,
          id: parsed.id,
          outputs: parsed.outputs.map(({ name, datatype, shape, data }) => ({
            name,
            datatype,
            shape,
            values: (data ?? []).map((value) => fromJsonValue(datatype, value)),
          })),
        };
      };
      const encoded = { headers: { 'content-type': 'application/json' }, body };
      return exchange(url + inferPath(request), request, encoded, read, version === 'HTTP/2' ? postOverHttp2 : post);
    },
  };
}

export function v2BinaryWire(url: string): Wire {
  return {
    name: 'v2 binary',
    statusOf,
    close: () => undefined,
    infer: async (request) => {
      const raws = request.inputs.map(toRaw);
      const head = Buffer.from(
        toJson({
          id: request.id,
          parameters: { ...request.parameters, binary_data_output: true },
          inputs: request.inputs.map(({ name, datatype, shape }, i) => ({
            name,
            datatype,
            shape,
            parameters: { binary_data_size: raws[i]?.length },
          })),
          outputs: request.outputs?.map((name) => ({ name, parameters: { binary_data: true } })),
        }),
      );
      const headers = { 'content-type': 'application/octet-stream', 'inference-header-content-length': String(head.length) };
      return exchange(url + inferPath(request), request, { headers, body: Buffer.concat([head, ...raws]) }, (reply) => {
        let at = Number(reply.headers.get('inference-header-content-length') ?? reply.body.length);
        const parsed = fromJson(reply.body.subarray(0, at).toString()) as JsonResponse;
        const outputs = parsed.outputs.map(({ name, datatype, shape, parameters, data }): PlainTensor => {
          // To a body, which can ask for nothing, the answer is JSON.
          if (data !== undefined) return { name, datatype, shape, values: data.map((value) => fromJsonValue(datatype, value)) };
          const size = parameters?.binary_data_size ?? NaN;
          const values = fromRaw(datatype, reply.body.subarray(at, at + size));
          at += size;
          return { name, datatype, shape, values };
        });
        return { model: parsed.model_name, version: parsed.model_version, id: parsed.id, outputs };
      });
    },
  };
}

function nest(values: readonly Value[], shape: readonly number[]): unknown {
  const [first, ...rest] = shape;
  if (first === undefined) return b64(values[0]);
  const stride = rest.reduce((product, dimension) => product * dimension, 1);
  return Array.from({ length: first }, (_, i) => nest(values.slice(i * stride, (i + 1) * stride), rest));
}

function flatten(nested: unknown): unknown[] {
  return Array.isArray(nested) ? nested.flatMap(flatten) : [nested];
}

function shapeOf(nested: unknown): number[] {
  return Array.isArray(nested) ? [nested.length, ...(nested.length > 0 ? shapeOf(nested[0]) : [])] : [];
}

/** v1 has no datatypes, ids, versions, parameters or requested outputs: the model's signature says what the numbers are. */
export function v1Wire(url: string, signatureOf: (model: string, verb: 'infer' | 'explain') => Signature | undefined): Wire {
  return {
    name: 'v1',
    statusOf,
    close: () => undefined,
    infer: async (request) => {
      const columns = request.inputs.map((input) => ({ name: input.name, rows: nest(input.values, input.shape) }));
      const single = columns.length === 1 ? columns[0] : undefined;
      const rows = (columns[0]?.rows ?? []) as unknown[];
      const instances = single
        ? single.rows
        : rows.map((_, i) => Object.fromEntries(columns.map(({ name, rows: column }) => [name, (column as unknown[])[i]])));
      const method = request.verb ?? 'predict';
      const path = `${url}/v1/models/${encodeURIComponent(request.model)}:${method}`;
      const encoded = { headers: { 'content-type': 'application/json' }, body: toJson({ instances }) };
      return exchange(path, request, encoded, (reply) => {
        const answer = fromJson(reply.body.toString()) as Record<string, unknown[]>;
        const predictions = answer[method === 'predict' ? 'predictions' : 'explanations'] ?? [];
        const metadata = signatureOf(request.model, request.verb ?? 'infer')?.outputs ?? [];
        const outputs = metadata.map(({ name, datatype }): PlainTensor => {
          const column = metadata.length === 1 ? predictions : predictions.map((row) => (row as Record<string, unknown>)[name]);
          return { name, datatype, shape: shapeOf(column), values: flatten(column).map((value) => fromJsonValue(datatype, value)) };
        });
        return { model: request.model, outputs };
      });
    },
  };
}

function b64(value: Value | undefined): unknown {
  return value instanceof Uint8Array ? { b64: Buffer.from(value).toString('base64') } : value;
}
