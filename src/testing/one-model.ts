import { modelNotFound } from '../core/errors.ts';
import type { ModelRepository, ServedModel } from '../repository/index.ts';

/** A repository that holds one model for good. */
export function oneModelRepository(model: ServedModel): ModelRepository {
  const find = (name: string): ServedModel => {
    if (name !== model.name) throw modelNotFound(name);
    return model;
  };
  return {
    start: () => Promise.resolve(),
    names: () => [model.name],
    find,
    isReady: (name) => find(name).isReady,
    isAllReady: () => true,
    index: () => [{ name: model.name, version: model.version, state: 'READY', reason: '' }],
    load: () => Promise.resolve(),
    unload: () => Promise.resolve(),
    close: (graceMs) => model.scheduler.drain(graceMs),
  };
}
