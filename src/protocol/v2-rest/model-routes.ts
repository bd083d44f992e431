import { modelNotReady } from '../../core/errors.ts';
import type { HttpCall, HttpReply } from '../../core/http.ts';
import type { TensorMetadata } from '../../core/metadata.ts';
import { jsonReply, modelOf, type DocumentedRoute, type RouteDoc } from '../http/index.ts';
import type { V2Dependencies } from './dependencies.ts';

/** Names, readiness and metadata of models, the latter two with and without version. */
export function modelRoutes({ dataplane }: V2Dependencies): DocumentedRoute[] {
  const ready = (call: HttpCall): HttpReply => {
    const { name, version } = modelOf(call);
    if (!dataplane.isModelReady(name, version)) throw modelNotReady(name);
    return jsonReply(200, { name, ready: true });
  };
  const metadata = (call: HttpCall): HttpReply => {
    const { name, version } = modelOf(call);
    const found = dataplane.modelMetadata(name, version);
    return jsonReply(200, {
      name: found.name,
      versions: found.versions,
      platform: found.platform,
      inputs: found.inputs.map(publicMetadata),
      outputs: found.outputs.map(publicMetadata),
      properties: found.properties,
    });
  };
  const readyDoc = doc('Is the model ready?', 'ModelReady', ['invalid_request', 'model_not_found', 'model_not_ready']);
  const metadataDoc = doc('Inputs, outputs and versions of the model', 'ModelMetadata', ['invalid_request', 'model_not_found', 'model_not_ready']);
  return [
    { method: 'GET', path: '/v2/models/:model/ready', handle: ready, doc: { ...readyDoc, operationId: 'modelReady' } },
    { method: 'GET', path: '/v2/models/:model', handle: metadata, doc: { ...metadataDoc, operationId: 'modelMetadata' } },
    { method: 'GET', path: '/v2/models/:model/versions/:version/ready', handle: ready, doc: { ...readyDoc, operationId: 'modelVersionReady' } },
    { method: 'GET', path: '/v2/models/:model/versions/:version', handle: metadata, doc: { ...metadataDoc, operationId: 'modelVersionMetadata' } },
    {
      method: 'GET',
      path: '/v2/models',
      handle: () => jsonReply(200, { models: dataplane.modelNames() }),
      doc: { ...doc('Names of all models', 'ModelList', []), operationId: 'models' },
    },
  ];
}

/** Names of dimensions are ours alone: the protocol has no field for them. */
function publicMetadata({ name, datatype, shape }: TensorMetadata): object {
  return { name, datatype, shape };
}

function doc(summary: string, schema: string, errors: RouteDoc['errors']): Omit<RouteDoc, 'operationId'> {
  return { summary, tag: 'models', success: { description: summary, bodies: [{ contentType: 'application/json', schema }] }, errors };
}
