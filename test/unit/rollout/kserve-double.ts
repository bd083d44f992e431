import { ServingError } from '../../../src/core/errors.ts';
import type { Clock } from '../../../src/rollout/clock.ts';
import { fieldOf, textOf, type Cluster, type Kind, type KubeObject } from '../../../src/rollout/cluster.ts';
import { mergeFields } from '../../../src/rollout/fields.ts';
import type { Prometheus } from '../../../src/rollout/prometheus.ts';
import { firstStatus, revisionName, statusAfter, templateOf, type PredictorStatus } from '../../support/kserve-status.ts';

/** A clock whose sleepers wake at once, some time later. */
export class VirtualClock implements Clock {
  at = 1_800_000_000_000;
  readonly #wakers: (() => void)[] = [];

  now(): number {
    return this.at;
  }

  sleep(ms: number): Promise<void> {
    this.at += Math.max(1, ms);
    for (const wake of this.#wakers) wake();
    return Promise.resolve();
  }

  /** Calls `run` whenever somebody has slept. */
  onSleep(run: () => void): void {
    this.#wakers.push(run);
  }
}

/**
 * An API server in memory with one InferenceService in Knative mode and a KServe that acts at once: conflicts, server-side apply of one manager, revisions and
 * traffic as the real ones have them, by the recordings in test/cluster.
 */
export class KServeDouble implements Cluster {
  readonly namespace = 'models';
  readonly objects = new Map<string, KubeObject>();
  /** Every percentage that was applied. */
  readonly percentages: (number | undefined)[] = [];
  readonly events: string[] = [];
  /** Thrown by every call while it is set. */
  outage: ServingError | undefined;
  #version = 0;
  #applied: unknown = {};

  readonly name: string;

  constructor(name: string) {
    this.name = name;
    this.#put({
      apiVersion: 'serving.kserve.io/v1beta1',
      kind: 'InferenceService',
      metadata: { name, namespace: this.namespace, uid: 'uid-1' },
      spec: { predictor: { minReplicas: 1, model: { modelFormat: { name: 'onnx' }, storageUri: 's3://models/v1' } } },
      status: { deploymentMode: 'Knative', components: { predictor: firstStatus(name) } },
    });
  }

  revision(number: number): string {
    return revisionName(this.name, number);
  }

  get service(): KubeObject {
    const service = this.objects.get(`InferenceService/${this.name}`);
    if (service === undefined) throw new Error('it is deleted');
    return service;
  }

  read(kind: Kind, name: string): Promise<KubeObject | undefined> {
    this.#check();
    return Promise.resolve(structuredClone(this.objects.get(`${kind}/${name}`)));
  }

  create(object: KubeObject): Promise<KubeObject> {
    this.#check();
    if (object.kind === 'Event') {
      this.events.push(`${textOf(object, 'reason') ?? ''}: ${textOf(object, 'message') ?? ''}`);
      return Promise.resolve(object);
    }
    if (this.objects.has(`${object.kind}/${object.metadata.name ?? ''}`)) throw new ServingError('conflict', 'Cannot create it: it exists');
    return Promise.resolve(this.#put(object));
  }

  replace(object: KubeObject): Promise<KubeObject> {
    this.#check();
    const present = this.objects.get(`${object.kind}/${object.metadata.name ?? ''}`);
    if (present === undefined) throw new ServingError('model_not_found', 'Cannot write it: it is gone');
    if (present.metadata.resourceVersion !== object.metadata.resourceVersion) throw new ServingError('conflict', 'Cannot write it: it has changed');
    return Promise.resolve(this.#put(object));
  }

  apply(object: KubeObject, { dryRun = false }: { readonly dryRun?: boolean }): Promise<KubeObject> {
    this.#check();
    const before = this.service;
    const spec = mergeFields(without(before['spec'], this.#applied, object['spec']), object['spec']);
    if (dryRun) return Promise.resolve({ ...before, spec });
    this.#applied = object['spec'];
    this.percentages.push(fieldOf(spec, 'predictor', 'canaryTrafficPercent') as number | undefined);
    return Promise.resolve(this.#reconcile({ ...before, spec }, before));
  }

  /** As somebody else would, with kubectl. */
  edit(predictor: object): void {
    const before = this.service;
    this.#reconcile({ ...before, spec: { predictor: mergeFields(fieldOf(before, 'spec', 'predictor'), predictor) } }, before);
  }

  #reconcile(service: KubeObject, before: KubeObject): KubeObject {
    const [is, was] = [service, before].map((each) => fieldOf(each, 'spec', 'predictor'));
    const status = fieldOf(before, 'status', 'components', 'predictor') as PredictorStatus;
    const percent = fieldOf(is, 'canaryTrafficPercent') as number | undefined;
    const predictor = statusAfter(this.name, status, percent, templateOf(is) !== templateOf(was));
    return this.#put({ ...service, status: { deploymentMode: 'Knative', components: { predictor } } });
  }

  #put(object: KubeObject): KubeObject {
    const stored = structuredClone({ ...object, metadata: { ...object.metadata, resourceVersion: String(++this.#version) } });
    this.objects.set(`${object.kind}/${object.metadata.name ?? ''}`, stored);
    return structuredClone(stored);
  }

  #check(): void {
    if (this.outage !== undefined) throw this.outage;
  }
}

/** What the manager applied before and does not apply now goes. */
function without(spec: unknown, before: unknown, now: unknown): unknown {
  if (typeof spec !== 'object' || spec === null || Array.isArray(spec)) return spec;
  return Object.fromEntries(
    Object.entries(spec as Readonly<Record<string, unknown>>).flatMap(([name, inner]) => {
      const [was, is] = [fieldOf(before, name), fieldOf(now, name)];
      if (was === undefined) return [[name, inner]];
      if (is === undefined && (typeof was !== 'object' || was === null || Array.isArray(was))) return [];
      return [[name, without(inner, was, is)]];
    }),
  );
}

/** Rates of one side, in requests and errors a second. */
export interface Rates {
  requests: number;
  errors: number;
}

/** A Prometheus that has scraped both sides every second since the beginning of time, at the rates of the moment. */
export class MetricsDouble implements Prometheus {
  readonly rates = new Map<string, Rates>();
  outage: ServingError | undefined;
  readonly #samples = new Map<string, [number, number][]>();

  constructor(clock: VirtualClock) {
    let last = clock.now();
    clock.onSleep(() => {
      const elapsed = (clock.now() - last) / 1000;
      last = clock.now();
      for (const [revision, { requests, errors }] of this.rates) {
        for (const [metric, rate] of [
          ['requests', requests],
          ['errors', errors],
        ] as const) {
          const samples = this.#samples.get(`${metric} ${revision}`) ?? [[0, 0]];
          samples.push([last / 1000, (samples.at(-1)?.[1] ?? 0) + rate * elapsed]);
          this.#samples.set(`${metric} ${revision}`, samples);
        }
      }
    });
  }

  range(query: string, from: number, to: number): ReturnType<Prometheus['range']> {
    if (this.outage !== undefined) return Promise.reject(this.outage);
    const [, metric = '', revision = ''] = /^(\w+)\{.*pod=~"(.*)-deployment/.exec(query) ?? [];
    const samples = (this.#samples.get(`${metric} ${revision}`) ?? []).filter(([at]) => at >= from && at <= to);
    return Promise.resolve(samples.length === 0 ? [] : [{ labels: {}, values: samples }]);
  }

  value(): Promise<number> {
    return Promise.resolve(NaN);
  }
}
