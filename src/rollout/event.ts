import type { Happening } from './advance.ts';
import { FIELD_MANAGER, KINDS, type Cluster, type KubeObject } from './cluster.ts';

const MAX_MESSAGE = 1000;

/** Tells it as an event of the InferenceService: `kubectl describe` shows it. */
export async function recordEvent(
  cluster: Cluster,
  service: KubeObject,
  { reason, message, isWarning }: Happening,
  instance: string,
  now: number,
): Promise<void> {
  const { apiVersion, kind, metadata } = service;
  const time = new Date(now).toISOString();
  await cluster.create({
    apiVersion: KINDS.Event.apiVersion,
    kind: 'Event',
    metadata: { generateName: `${metadata.name ?? ''}-rollout-`, namespace: cluster.namespace },
    involvedObject: { apiVersion, kind, name: metadata.name, namespace: cluster.namespace, uid: metadata.uid },
    type: isWarning ? 'Warning' : 'Normal',
    reason,
    message: message.slice(0, MAX_MESSAGE),
    firstTimestamp: time.replace(/\.\d+Z$/, 'Z'),
    lastTimestamp: time.replace(/\.\d+Z$/, 'Z'),
    count: 1,
    source: { component: FIELD_MANAGER },
    reportingComponent: FIELD_MANAGER,
    reportingInstance: instance.slice(0, 128),
  });
}
