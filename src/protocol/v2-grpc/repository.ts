import { invalidRequest, ServingError } from '../../core/errors.ts';
import type { Dataplane } from '../../dataplane/index.ts';
import type { Method } from './library.ts';
import { decoded, type UnaryHandler } from './unary.ts';

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
export function repositoryHandlers(method: (name: string) => Method, dataplane: Dataplane): Record<string, UnaryHandler> {
  return {
    RepositoryIndex: decoded(method('RepositoryIndex'), ({ repository_name, ready }: IndexRequest) => {
      if (repository_name !== '') throw noRepositories('list models', repository_name);
      // Proto3 leaves out what is empty.
      const models = dataplane.index({ readyOnly: ready }).map(({ reason, ...entry }) => (reason === '' ? entry : { ...entry, reason }));
      return { models };
    }),
    RepositoryModelLoad: decoded(method('RepositoryModelLoad'), async (request: LoadRequest) => {
      const name = modelName('load', request);
      const [parameter] = Object.keys(request.parameters);
      if (parameter !== undefined) {
        throw new ServingError('unimplemented', `Cannot load model "${name}": load parameters are not supported, got "${parameter}"`);
      }
      await dataplane.load(name);
      return { model_name: name, isLoaded: true };
    }),
    // Triton's clients always send unload_dependents; models depend on nothing here.
    RepositoryModelUnload: decoded(method('RepositoryModelUnload'), async (request: LoadRequest) => {
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
