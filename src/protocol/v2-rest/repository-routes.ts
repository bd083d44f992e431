import { ServingError, invalidRequest } from '../../core/errors.ts';
import type { HttpCall } from '../../core/http.ts';
import { BODY_ERRORS, jsonReply, modelOf, type DocumentedRoute, type RouteDoc } from '../http/index.ts';
import { objectEntries, readControlBody, typeName } from './control-body.ts';
import type { V2Dependencies } from './dependencies.ts';

/** Triton's model repository extension, load and unload answering as KServe does. */
export function repositoryRoutes({ dataplane }: V2Dependencies): DocumentedRoute[] {
  return [
    {
      method: 'POST',
      path: '/v2/repository/index',
      async handle(call) {
        const body = await readControlBody(call);
        return jsonReply(200, dataplane.index({ readyOnly: readFlag(body, 'ready') }));
      },
      doc: doc('repositoryIndex', 'State of every version of every model', { request: 'RepositoryIndexRequest', reply: 'RepositoryIndex' }, []),
    },
    {
      method: 'POST',
      path: '/v2/repository/models/:model/load',
      async handle(call) {
        const { name } = modelOf(call);
        refuseOverrides(await readParameters(call));
        await dataplane.load(name);
        return jsonReply(200, { name, load: true });
      },
      doc: doc('repositoryLoad', 'Load or reload a model', { request: 'RepositoryLoadRequest', reply: 'RepositoryLoad' }, [
        'model_not_found',
        'conflict',
        'unimplemented',
        'model_not_ready',
      ]),
    },
    {
      method: 'POST',
      path: '/v2/repository/models/:model/unload',
      async handle(call) {
        const { name } = modelOf(call);
        const parameters = await readParameters(call);
        // No model depends on another, so the flag changes nothing.
        readFlag(parameters, 'unload_dependents');
        refuseUnknown(parameters, 'unload_dependents');
        await dataplane.unload(name);
        return jsonReply(200, { name, unload: true });
      },
      doc: doc('repositoryUnload', 'Unload a model', { request: 'RepositoryUnloadRequest', reply: 'RepositoryUnload' }, [
        'model_not_found',
        'conflict',
      ]),
    },
  ];
}

async function readParameters(call: HttpCall): Promise<ReadonlyMap<string, unknown>> {
  const parameters = (await readControlBody(call)).get('parameters');
  return parameters === undefined ? new Map<string, unknown>() : objectEntries(parameters, 'field "parameters"');
}

function readFlag(fields: ReadonlyMap<string, unknown>, name: string): boolean {
  const value = fields.get(name);
  if (value === undefined) return false;
  if (typeof value !== 'boolean') throw invalidRequest(`Cannot read field "${name}": expected a boolean, got ${typeName(value)}`);
  return value;
}

/** Triton loads models out of the request itself; that a client asked for it must not pass unnoticed. */
function refuseOverrides(parameters: ReadonlyMap<string, unknown>): void {
  for (const name of parameters.keys()) {
    if (name === 'config' || name.startsWith('file:')) {
      throw new ServingError('unimplemented', `Cannot load with parameter "${name.slice(0, 255)}": models load from the repository's files only`);
    }
  }
  refuseUnknown(parameters);
}

function refuseUnknown(parameters: ReadonlyMap<string, unknown>, known?: string): void {
  for (const name of parameters.keys()) {
    if (name !== known) {
      throw invalidRequest(`Cannot read field "parameters": expected ${known === undefined ? 'none' : `"${known}"`}, got "${name.slice(0, 255)}"`);
    }
  }
}

function doc(
  operationId: string,
  summary: string,
  schemas: { readonly request: string; readonly reply: string },
  errors: RouteDoc['errors'],
): RouteDoc {
  return {
    operationId,
    summary,
    tag: 'repository',
    request: { isRequired: false, bodies: [{ contentType: 'application/json', schema: schemas.request }] },
    success: { description: summary, bodies: [{ contentType: 'application/json', schema: schemas.reply }] },
    errors: [...BODY_ERRORS, ...errors],
  };
}
