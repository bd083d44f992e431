import type { ServerWritableStream, UntypedServiceImplementation } from '@grpc/grpc-js';
import { isServingError, ServingError, toServingError } from '../../core/errors.ts';
import type { Dataplane } from '../../dataplane/index.ts';
import { HEALTH_SERVICE, INFERENCE_SERVICE, type LoadedLibrary, type Method } from './library.ts';
import { statusOf } from './status.ts';
import { decoded, decodeSmall, unary, type UnaryDependencies, type UnaryHandler } from './unary.ts';

/** Values of grpc.health.v1's ServingStatus. */
const SERVING = 1;
const NOT_SERVING = 2;
const SERVICE_UNKNOWN = 3;

interface CheckRequest {
  readonly service: string;
}

type WatchCall = ServerWritableStream<Buffer, Buffer>;

interface Watcher {
  readonly service: string;
  readonly call: WatchCall;
  /** The status sent last; 0 before the first. */
  last: number;
}

/**
 * grpc.health.v1: the whole server under "" and under the inference service's name, each model under its own. A status is the dataplane's at the moment
 * of asking, never a stored one.
 */
export class HealthService {
  readonly implementation: UntypedServiceImplementation;
  private readonly deps: UnaryDependencies;
  private readonly dataplane: Dataplane;
  private readonly watchMethod: Method;
  private readonly watchers = new Set<Watcher>();
  private isDraining = false;
  private isClosed = false;

  constructor(library: LoadedLibrary, deps: UnaryDependencies, dataplane: Dataplane) {
    this.deps = deps;
    this.dataplane = dataplane;
    this.watchMethod = library.method(HEALTH_SERVICE, 'Watch');
    const answer = (name: string, handle: (request: CheckRequest) => object): ReturnType<typeof unary> => {
      const handler: UnaryHandler = decoded(library.method(HEALTH_SERVICE, name), handle);
      return unary(deps, `Health/${name}`, handler);
    };
    this.implementation = {
      Check: answer('Check', ({ service }) => ({ status: this.statusOf(service) })),
      List: answer('List', () => ({ statuses: this.statuses() })),
      Watch: (call: WatchCall) => {
        this.watch(call);
      },
    };
  }

  /** Tells watchers what has changed. */
  refresh(): void {
    for (const watcher of this.watchers) {
      const status = this.watchedStatusOf(watcher.service);
      // A slow reader misses what was true in between, not what is true in the end.
      if (status === watcher.last || watcher.call.writableNeedDrain) continue;
      watcher.last = status;
      watcher.call.write(this.watchMethod.responseSerialize({ status }));
    }
  }

  /** From now on nothing is ready to serve; watchers are told. */
  drain(): void {
    this.isDraining = true;
    this.refresh();
  }

  /** Lets watchers go: an open stream of theirs would hold up the shutdown. */
  close(): void {
    this.isClosed = true;
    for (const { call } of this.watchers) this.end(call);
  }

  private watch(call: WatchCall): void {
    let service: string;
    try {
      ({ service } = decodeSmall(this.watchMethod, call.request) as CheckRequest);
    } catch (thrown) {
      call.emit('error', statusOf(this.deps.grpc, toServingError(thrown)));
      return;
    }
    const watcher = { service, call, last: 0 };
    this.watchers.add(watcher);
    call.once('cancelled', () => {
      this.watchers.delete(watcher);
    });
    call.on('drain', () => {
      this.refresh();
    });
    this.refresh();
    if (this.isClosed) this.end(call);
  }

  private end(call: WatchCall): void {
    call.emit('error', statusOf(this.deps.grpc, new ServingError('server_not_ready', 'Server is shutting down')));
  }

  /** Throws model_not_found for a service that is neither the server nor a model. */
  private statusOf(service: string): number {
    const isServer = service === '' || service === INFERENCE_SERVICE;
    const isReady = isServer ? this.dataplane.isReady() : this.dataplane.isModelReady(service);
    return isReady && !this.isDraining ? SERVING : NOT_SERVING;
  }

  private watchedStatusOf(service: string): number {
    try {
      return this.statusOf(service);
    } catch (error) {
      return isServingError(error) && error.reason === 'model_not_found' ? SERVICE_UNKNOWN : NOT_SERVING;
    }
  }

  private statuses(): Record<string, { readonly status: number }> {
    const services = ['', INFERENCE_SERVICE, ...this.dataplane.modelNames()];
    return Object.fromEntries(services.map((service) => [service, { status: this.watchedStatusOf(service) }]));
  }
}
