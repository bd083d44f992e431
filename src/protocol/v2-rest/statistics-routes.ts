import { encodeStatistics } from '../../codec/index.ts';
import type { HttpCall, HttpReply } from '../../core/http.ts';
import { jsonReply, modelOf, type DocumentedRoute, type RouteDoc } from '../http/index.ts';
import type { V2Dependencies } from './dependencies.ts';

/**
 * Triton's statistics extension. `/v2/models/stats` is its path for all models, so that a model called `stats` has its metadata under
 * `/v2/models/stats/versions/…` only.
 */
export function statisticsRoutes({ dataplane }: V2Dependencies): DocumentedRoute[] {
  const one = (call: HttpCall): HttpReply => {
    const { name, version } = modelOf(call);
    return jsonReply(200, encodeStatistics(dataplane.statistics(name, version)));
  };
  const all = (): HttpReply => jsonReply(200, encodeStatistics(dataplane.statistics()));
  const oneDoc = doc('What became of the requests to the model', ['invalid_request', 'model_not_found', 'model_not_ready']);
  const allDoc = doc('What became of the requests to every model that serves', []);
  return [
    { method: 'GET', path: '/v2/models/stats', handle: all, doc: { ...allDoc, operationId: 'allStatistics' } },
    { method: 'GET', path: '/v2/models/:model/stats', handle: one, doc: { ...oneDoc, operationId: 'modelStatistics' } },
    { method: 'GET', path: '/v2/models/:model/versions/:version/stats', handle: one, doc: { ...oneDoc, operationId: 'modelVersionStatistics' } },
  ];
}

function doc(summary: string, errors: RouteDoc['errors']): Omit<RouteDoc, 'operationId'> {
  return {
    summary,
    tag: 'models',
    success: { description: summary, bodies: [{ contentType: 'application/json', schema: 'ModelStatisticsList' }] },
    errors,
  };
}
