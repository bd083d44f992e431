import { isServingError, ServingError } from '../core/errors.ts';
import type { Request } from './advance.ts';
import { KINDS, textOf, type Cluster, type KubeObject } from './cluster.ts';
import { ownerReference } from './lease.ts';
import { decodeState, encodeState, type RolloutState } from './state.ts';

/** The state of a rollout in a ConfigMap, and what people ask of its runner beside it. */
export interface StateStore {
  /** The state, undefined before the first rollout, and the request nobody has obeyed yet. */
  read(): Promise<{ readonly state: RolloutState | undefined; readonly request: Request | undefined }>;
  /** Writes the state and takes the request away. Rejects with `conflict` when another runner has written meanwhile. */
  write(state: RolloutState, owner: KubeObject): Promise<void>;
  /** For those who do not run it. */
  ask(request: Request): Promise<void>;
}

export function storeName(service: string): string {
  return `${service}-rollout`;
}

const STATE = 'state.json';
const REQUEST = 'request';

export function openStateStore(cluster: Cluster, service: string): StateStore {
  const name = storeName(service);
  let known: KubeObject | undefined;
  let written: string | undefined;
  const load = async (): Promise<KubeObject | undefined> => {
    known = await cluster.read('ConfigMap', name);
    return known;
  };
  return {
    read: async () => {
      const present = await load();
      const text = textOf(present, 'data', STATE);
      written = text;
      return { state: text === undefined ? undefined : decodeState(text), request: requestOf(present) };
    },
    write: async (state, owner) => {
      const text = encodeState(state);
      const save = async (request?: Request): Promise<void> => {
        const data = { [STATE]: text, ...(request === undefined ? {} : { [REQUEST]: request }) };
        known =
          known === undefined
            ? await cluster.create({
                apiVersion: KINDS.ConfigMap.apiVersion,
                kind: 'ConfigMap',
                metadata: { name, namespace: cluster.namespace, ownerReferences: [ownerReference(owner)] },
                data,
              })
            : await cluster.replace({ ...known, data });
        written = text;
      };
      try {
        await save();
      } catch (error) {
        if (!isServingError(error) || error.reason !== 'conflict') throw error;
        // Requests are written here, too: only another state means another runner. This one is obeyed at the next look.
        const present = await load();
        if (textOf(present, 'data', STATE) !== written)
          throw new ServingError('conflict', `Cannot go on: another runner has written ConfigMap ${name}`);
        await save(requestOf(present));
      }
    },
    ask: async (request) => {
      const present = await load();
      if (present === undefined) throw new ServingError('model_not_found', `Cannot ${request}: there is no rollout of ${service}`);
      await cluster.replace({ ...present, data: { ...(present['data'] as object), [REQUEST]: request } });
    },
  };
}

function requestOf(object: KubeObject | undefined): Request | undefined {
  const request = textOf(object, 'data', REQUEST);
  return request === 'pause' || request === 'resume' || request === 'abort' ? request : undefined;
}
