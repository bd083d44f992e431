import { ServingError } from '../../core/errors.ts';
import { jsonReply, type DocumentedRoute, type RouteDoc } from '../http/index.ts';
import type { V2Dependencies } from './dependencies.ts';

const LIVE = jsonReply(200, { live: true });
const READY = jsonReply(200, { ready: true });
const ALIVE = jsonReply(200, { status: 'alive' });

/** Health of the server as OIP defines it, its metadata, and the `/` that KServe's v1 clients use as liveness. */
export function healthRoutes({ dataplane }: V2Dependencies): DocumentedRoute[] {
  return [
    {
      method: 'GET',
      path: '/v2/health/live',
      handle() {
        if (!dataplane.isLive()) throw new ServingError('server_not_ready', 'Server is not live.');
        return LIVE;
      },
      doc: doc('serverLive', 'Is the process serving?', 'Live', ['server_not_ready']),
    },
    {
      method: 'GET',
      path: '/v2/health/ready',
      handle() {
        if (!dataplane.isReady()) throw new ServingError('server_not_ready', 'Server is not ready.');
        return READY;
      },
      doc: doc('serverReady', 'Are all models ready, and is the server not shutting down?', 'Ready', ['server_not_ready']),
    },
    {
      method: 'GET',
      path: '/v2',
      handle: () => jsonReply(200, dataplane.serverMetadata()),
      doc: doc('serverMetadata', 'Name, version and extensions of the server', 'ServerMetadata', []),
    },
    { method: 'GET', path: '/', handle: () => ALIVE, doc: doc('alive', 'Is the process serving? (v1)', 'Alive', []) },
  ];
}

function doc(operationId: string, summary: string, schema: string, errors: RouteDoc['errors']): RouteDoc {
  return { operationId, summary, tag: 'server', success: { description: summary, bodies: [{ contentType: 'application/json', schema }] }, errors };
}
