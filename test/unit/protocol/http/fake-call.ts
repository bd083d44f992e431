import { SILENT_LOGGER } from '../../../../src/core/context.ts';
import { isServingError, type ErrorReason } from '../../../../src/core/errors.ts';
import type { HttpCall, HttpReply, HttpRoute } from '../../../../src/core/http.ts';
import { pathTemplate } from '../../../../src/protocol/http/index.ts';

export interface FakeRequest {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  readonly signal?: AbortSignal;
  /** The route must fail before it reads the body. */
  readonly isBodyForbidden?: boolean;
}

export interface FakeReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly bytes: Buffer;
  readonly json: unknown;
  /** Whether the route asked for the body. */
  readonly hasReadBody: boolean;
}

/** Calls the route that fits `GET /path`, as an adapter would, but without one. Rejects with what the route throws. */
export async function callRoute(
  routes: readonly HttpRoute[],
  line: string,
  { headers = {}, body = '', signal, isBodyForbidden = false }: FakeRequest = {},
): Promise<FakeReply> {
  const [method = '', path = ''] = line.split(' ');
  let hasReadBody = false;
  for (const route of routes) {
    const params = route.method === method ? match(route.path, path) : undefined;
    if (params === undefined) continue;
    const call: HttpCall = {
      method,
      params,
      headers,
      id: 'call-1',
      signal: signal ?? new AbortController().signal,
      log: SILENT_LOGGER,
      receivedAt: 1000,
      readBody() {
        hasReadBody = true;
        if (isBodyForbidden) return Promise.reject(new Error('the body was read'));
        return Promise.resolve(new Uint8Array(Buffer.from(body)));
      },
      async useBody(use) {
        return await use(await call.readBody());
      },
    };
    const reply = await route.handle(call);
    const bytes = bodyOf(reply);
    return {
      status: reply.status,
      headers: reply.headers ?? {},
      bytes,
      get json() {
        return JSON.parse(bytes.toString()) as unknown;
      },
      hasReadBody,
    };
  }
  throw new Error(`no route for ${line}`);
}

/** The reason and message of the ServingError that a call must fail with. */
export async function failure(call: Promise<unknown>): Promise<{ readonly reason: ErrorReason; readonly message: string }> {
  const thrown: unknown = await call.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!isServingError(thrown)) throw new Error('expected a ServingError', { cause: thrown });
  return { reason: thrown.reason, message: thrown.message };
}

function bodyOf({ body }: HttpReply): Buffer {
  if (body === undefined) return Buffer.alloc(0);
  return typeof body === 'string' ? Buffer.from(body) : Buffer.concat(body);
}

function match(route: string, path: string): Record<string, string> | undefined {
  const source = pathTemplate(route)
    .replace(/[.:]/g, '\\$&')
    .replace(/\{(\w+)\}/g, '(?<$1>[^/]+?)');
  const found = new RegExp(`^${source}/?$`).exec(path);
  if (found === null) return undefined;
  return Object.fromEntries(Object.entries(found.groups ?? {}).map(([name, text]) => [name, decodeURIComponent(text)]));
}
