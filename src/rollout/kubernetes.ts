import { request as requestHttp, type OutgoingHttpHeaders, type RequestOptions } from 'node:http';
import { request as requestHttps } from 'node:https';
import type * as Library from '@kubernetes/client-node';
import { ServingError, type ErrorReason } from '../core/errors.ts';
import { FIELD_MANAGER, fieldOf, KINDS, listOf, textOf, type Cluster, type Kind, type KubeObject } from './cluster.ts';

const TIMEOUT_MS = 15_000;
const MAX_ANSWER_BYTES = 32 * 1024 * 1024;

/** Kubernetes' client library: large, and of use to nobody who serves, so that those who want it install it. */
export async function importLibrary(): Promise<typeof Library> {
  try {
    return await import('@kubernetes/client-node');
  } catch (error) {
    if (fieldOf(error, 'code') !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new ServingError('unimplemented', 'Cannot reach a cluster without its client library: run npm install @kubernetes/client-node@1', {
      cause: error,
    });
  }
}

/**
 * The cluster of a kubeconfig, of the variable KUBECONFIG, of ~/.kube/config or around this pod. The library reads credentials and keeps them fresh (tokens,
 * certificates, programs of cloud providers); requests are plain HTTPS with a time limit, and paths are known: nothing is looked up first.
 */
export async function connectCluster(options: {
  readonly kubeconfig?: string | undefined;
  readonly namespace?: string | undefined;
}): Promise<Cluster> {
  const { KubeConfig } = await importLibrary();
  const config = new KubeConfig();
  try {
    if (options.kubeconfig === undefined) config.loadFromDefault();
    else config.loadFromFile(options.kubeconfig);
  } catch (error) {
    throw new ServingError('invalid_request', `Cannot read the kubeconfig: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
  if (config.getCurrentCluster() === null) {
    throw new ServingError(
      'invalid_request',
      `Cannot find a cluster: the kubeconfig has none for its current context ${JSON.stringify(config.getCurrentContext())}`,
    );
  }
  return createCluster(config, options.namespace ?? config.getContextObject(config.getCurrentContext())?.namespace ?? 'default');
}

function createCluster(config: Library.KubeConfig, namespace: string): Cluster {
  const pathOf = (kind: Kind, name = ''): string => {
    const { apiVersion, plural } = KINDS[kind];
    const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
    return `${root}/namespaces/${namespace}/${plural}${name === '' ? '' : `/${name}`}`;
  };
  const kindOf = ({ kind }: KubeObject): Kind => kind as Kind;
  return {
    namespace,
    read: async (kind, name) => {
      const answer = await call(config, 'GET', pathOf(kind, name));
      return answer.status === 404 && textOf(answer.body, 'details', 'name') === name ? undefined : take(answer, `read ${kind} ${name}`);
    },
    create: async (object) => {
      const answer = await call(config, 'POST', `${pathOf(kindOf(object))}?fieldManager=${FIELD_MANAGER}`, object);
      return take(answer, `create ${describe(object)}`);
    },
    replace: async (object) => {
      const answer = await call(config, 'PUT', `${pathOf(kindOf(object), object.metadata.name)}?fieldManager=${FIELD_MANAGER}`, object);
      return take(answer, `write ${describe(object)}`);
    },
    apply: async (object, { force, dryRun = false }) => {
      const query = `fieldManager=${FIELD_MANAGER}&fieldValidation=Strict&force=${force}${dryRun ? '&dryRun=All' : ''}`;
      const answer = await call(config, 'PATCH', `${pathOf(kindOf(object), object.metadata.name)}?${query}`, object, 'application/apply-patch+yaml');
      return take(answer, `apply ${describe(object)}`);
    },
  };
}

function describe({ kind, metadata }: KubeObject): string {
  return `${kind} ${metadata.name ?? ''}`.trimEnd();
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

async function call(config: Library.KubeConfig, method: string, path: string, body?: unknown, contentType = 'application/json'): Promise<Answer> {
  const server = config.getCurrentCluster()?.server ?? '';
  const url = new URL(`${server.replace(/\/$/, '')}${path}`);
  const options: RequestOptions = { method, headers: { Accept: 'application/json' } };
  try {
    await config.applyToHTTPSOptions(options);
    return await exchange(url, options, body === undefined ? undefined : Buffer.from(JSON.stringify(body)), contentType);
  } catch (error) {
    throw new ServingError(
      'upstream_failed',
      `Cannot reach the API server ${url.origin}: ${error instanceof Error ? error.message || error.name : String(error)}`,
      {
        cause: error,
      },
    );
  }
}

function exchange(url: URL, options: RequestOptions, body: Buffer | undefined, contentType: string): Promise<Answer> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const headers = {
    ...(options.headers as OutgoingHttpHeaders),
    ...(body === undefined ? {} : { 'Content-Type': contentType, 'Content-Length': body.length }),
  };
  return new Promise((resolve, reject) => {
    const send = url.protocol === 'http:' ? requestHttp : requestHttps;
    const asked = send(url, { ...options, headers, signal }, (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        bytes += chunk.length;
        if (bytes > MAX_ANSWER_BYTES) asked.destroy(new Error(`its answer is larger than ${MAX_ANSWER_BYTES} bytes`));
      });
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, body: parse(Buffer.concat(chunks).toString()) });
      });
      response.on('error', reject);
    });
    asked.on('error', reject);
    asked.end(body);
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

const REASONS: Readonly<Record<number, ErrorReason>> = {
  400: 'invalid_request',
  401: 'unauthenticated',
  403: 'permission_denied',
  404: 'model_not_found',
  409: 'conflict',
  422: 'invalid_request',
};

/** The object, or the API server's own words as an error. */
function take({ status, body }: Answer, action: string): KubeObject {
  if (status >= 200 && status < 300) return body as KubeObject;
  const said = textOf(body, 'message') ?? (typeof body === 'string' && body.trim() !== '' ? body.trim().slice(0, 300) : `status ${status}`);
  const conflicts = listOf(body, 'details', 'causes')
    .filter((cause) => fieldOf(cause, 'reason') === 'FieldManagerConflict')
    .map((cause) => ({ field: textOf(cause, 'field') ?? '', message: textOf(cause, 'message') ?? '' }));
  throw new ServingError(REASONS[status] ?? 'upstream_failed', `Cannot ${action}: ${said}`, { details: { status, conflicts } });
}
