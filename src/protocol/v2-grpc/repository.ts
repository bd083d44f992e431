import { invalidRequest, ServingError } from '../../core/errors.ts';
import type { Dataplane } from '../../dataplane/index.ts';
import { INDEX_REQUEST, INDEX_RESPONSE, LOAD_REQUEST, LOAD_RESPONSE, small, UNLOAD_RESPONSE } from './messages.ts';
import type { UnaryHandler } from './unary-call.ts';

interface IndexRequest {
  readonly repository_name: string;
  readonly ready: boolean;
}

/** KServe's clients put the model's name into field 1, Triton's into field 2, where 1 is the repository. */
interface LoadRequest {
  readonly repository_name: string;
  readonly model_name: string;
  readonly parameters: Readonly<Record<string, unknown>>;
}

/** RepositoryIndex, RepositoryModelLoad and RepositoryModelUnload for the clients of both. */
export function repositoryMethods(dataplane: Dataplane): Record<string, UnaryHandler> {
  return {
    RepositoryIndex: small(INDEX_REQUEST, INDEX_RESPONSE, ({ repository_name, ready }: IndexRequest) => {
      if (repository_name !== '') throw noRepositories('list models', repository_name);
      return { models: dataplane.index({ readyOnly: ready }) };
    }),
    RepositoryModelLoad: small(LOAD_REQUEST, LOAD_RESPONSE, async (request: LoadRequest) => {
      const name = modelName('load', request);
      const [parameter] = Object.keys(request.parameters);
      if (parameter !== undefined) {
        throw new ServingError('unimplemented', `Cannot load model "${name}": load parameters are not supported, got "${parameter}"`);
      }
      await dataplane.load(name);
      return { model_name: name, isLoaded: true };
    }),
    // Triton's clients always send unload_dependents; models depend on nothing here.
    RepositoryModelUnload: small(LOAD_REQUEST, UNLOAD_RESPONSE, async (request: LoadRequest) => {
      const name = modelName('unload', request);
      await dataplane.unload(name);
      return { model_name: name, isUnloaded: true };
    }),
  };
}

function modelName(verb: 'load' | 'unload', request: LoadRequest): string {
  if (request.model_name === '') {
    if (request.repository_name === '') throw invalidRequest(`Cannot ${verb} model: expected a model name, got none`);
    return request.repository_name;
  }
  if (request.repository_name !== '') throw noRepositories(`${verb} model "${request.model_name}"`, request.repository_name);
  return request.model_name;
}

function noRepositories(action: string, repository: string): ServingError {
  return new ServingError('unimplemented', `Cannot ${action}: repositories have no names here, expected none, got "${repository}"`);
}
