import { isServingError, ServingError } from '../../core/errors.ts';
import type { Dataplane } from '../../dataplane/index.ts';
import { INFERENCE_SERVICE } from './inference.ts';
import { decodeRequest, EMPTY, encodeFrame, HEALTH_LIST, HEALTH_REQUEST, HEALTH_RESPONSE, small } from './messages.ts';
import type { StreamListener, StreamSink } from './stream-call.ts';
import type { UnaryHandler } from './unary-call.ts';

export const HEALTH_SERVICE = 'grpc.health.v1.Health';

/** Values of grpc.health.v1's ServingStatus. */
const SERVING = 1;
const NOT_SERVING = 2;
const SERVICE_UNKNOWN = 3;

interface CheckRequest {
  readonly service: string;
}

interface Watcher {
  readonly service: string;
  readonly sink: StreamSink;
  /** The status sent last; 0 before the first. */
  last: number;
}

/**
 * grpc.health.v1: the whole server under "" and under the inference service's name, each model under its own. A status is the dataplane's at the moment
 * of asking, never a stored one.
 */
export class HealthService {
  readonly methods: Record<string, UnaryHandler>;
  private readonly dataplane: Dataplane;
  private readonly watchers = new Set<Watcher>();
  private isDraining = false;
  private isClosed = false;

  constructor(dataplane: Dataplane) {
    this.dataplane = dataplane;
    this.methods = {
      Check: small(HEALTH_REQUEST, HEALTH_RESPONSE, ({ service }: CheckRequest) => ({ status: this.statusOf(service) })),
      List: small(EMPTY, HEALTH_LIST, () => ({ statuses: this.statuses() })),
    };
  }

  /** The method Watch. */
  watch(sink: StreamSink): StreamListener {
    let watcher: Watcher | undefined;
    return {
      message: (bytes) => {
        if (watcher !== undefined) throw new ServingError('unimplemented', `Cannot call ${sink.path}: expected one message, got more`);
        const { service } = decodeRequest(HEALTH_REQUEST, bytes, sink) as CheckRequest;
        watcher = { service, sink, last: 0 };
        this.watchers.add(watcher);
        this.tell(watcher);
        if (this.isClosed) end(sink);
      },
      ended: () => {
        if (watcher === undefined) sink.finish(new ServingError('unimplemented', `Cannot call ${sink.path}: expected one message, got none`));
      },
      drained: () => {
        if (watcher !== undefined) this.tell(watcher);
      },
      closed: () => {
        if (watcher !== undefined) this.watchers.delete(watcher);
      },
    };
  }

  /** Tells watchers what has changed. */
  refresh(): void {
    for (const watcher of this.watchers) this.tell(watcher);
  }

  /** From now on nothing is ready to serve; watchers are told. */
  drain(): void {
    this.isDraining = true;
    this.refresh();
  }

  /** Lets watchers go: an open stream of theirs would hold up the shutdown. */
  close(): void {
    this.isClosed = true;
    for (const { sink } of this.watchers) end(sink);
  }

  private tell(watcher: Watcher): void {
    const status = this.watchedStatusOf(watcher.service);
    // A slow reader misses what was true in between, not what is true in the end.
    if (status === watcher.last || !watcher.sink.isReady) return;
    watcher.last = status;
    watcher.sink.send(encodeFrame(HEALTH_RESPONSE, { status }));
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

function end(sink: StreamSink): void {
  sink.finish(new ServingError('server_not_ready', 'Server is shutting down'));
}
