import type { Logger } from '../../core/context.ts';
import { ServingError } from '../../core/errors.ts';
import type { Dataplane } from '../../dataplane/index.ts';
import { encodeHeaders, type StreamHandler } from '../http2/index.ts';
import type { Arrival, CallDependencies, CallLimits, GrpcObserver } from './call.ts';
import { HEALTH_SERVICE, HealthService } from './health.ts';
import { INFERENCE_SERVICE, inferenceMethods } from './inference.ts';
import { REFLECTION_METHOD, REFLECTION_SERVICES, ReflectionService } from './reflection.ts';
import { StreamCall, type StreamMethod } from './stream-call.ts';
import { UnaryCall, type UnaryHandler } from './unary-call.ts';

export interface GrpcDependencies {
  readonly dataplane: Dataplane;
  readonly log: Logger;
  readonly observer?: GrpcObserver;
}

/** All calls that there are, over streams that others accept. */
export interface GrpcService {
  readonly handle: StreamHandler;
  /** Pushes what has changed to health watchers. */
  refreshHealth(): void;
  /** Health says NOT_SERVING from now on. */
  drain(): void;
  /** Ends the streams that clients keep open for hours. */
  endStreams(): void;
}

type BeginCall = (arrival: Arrival, deps: CallDependencies) => void;

export function createGrpcService(limits: CallLimits, { dataplane, log, observer = {} }: GrpcDependencies): GrpcService {
  const deps: CallDependencies = { limits, log, observer };
  const health = new HealthService(dataplane);
  const reflection = new ReflectionService();
  const methods = new Map<string, BeginCall>();
  addUnary(methods, INFERENCE_SERVICE, '', inferenceMethods(dataplane));
  addUnary(methods, HEALTH_SERVICE, 'Health/', health.methods);
  addStream(methods, HEALTH_SERVICE, 'Watch', (sink) => health.watch(sink));
  for (const service of REFLECTION_SERVICES) addStream(methods, service, REFLECTION_METHOD, (sink) => reflection.serve(sink));
  return {
    handle: (stream, headers, connection) => {
      if (headers[':method'] !== 'POST') {
        stream.respond(encodeHeaders({ ':status': 405 }), true);
        return;
      }
      const begin = methods.get(headers[':path'] ?? '') ?? beginUnknown;
      begin({ stream, headers, connection }, deps);
    },
    refreshHealth: () => {
      health.refresh();
    },
    drain: () => {
      health.drain();
    },
    endStreams: () => {
      health.close();
      reflection.close();
    },
  };
}

/** `label`: what stands before the methods' names in logs and metrics. */
function addUnary(methods: Map<string, BeginCall>, service: string, label: string, handlers: Readonly<Record<string, UnaryHandler>>): void {
  for (const [name, handler] of Object.entries(handlers)) {
    methods.set(`/${service}/${name}`, (arrival, deps) => {
      new UnaryCall(label + name, handler, arrival, deps).begin();
    });
  }
}

function addStream(methods: Map<string, BeginCall>, service: string, name: string, method: StreamMethod): void {
  const label = `${service.slice(service.lastIndexOf('.') + 1)}/${name}`;
  methods.set(`/${service}/${name}`, (arrival, deps) => {
    new StreamCall(label, method, arrival, deps).begin();
  });
}

/** Clients choose the path: it is no label of a metric. */
const beginUnknown: BeginCall = (arrival, deps) => {
  const call = new StreamCall('unknown', () => SILENT, arrival, deps);
  call.begin();
  call.finish(new ServingError('unimplemented', `Cannot call ${call.path.slice(0, 200)}: the server has no such method`));
};

const ignore = (): void => undefined;
const SILENT = { message: ignore, ended: ignore, closed: ignore };
