import { fileURLToPath } from 'node:url';
import type * as Grpc from '@grpc/grpc-js';
import type { MethodDefinition, PackageDefinition, ServiceDefinition } from '@grpc/proto-loader';

export type GrpcLibrary = typeof Grpc;
export type Method = MethodDefinition<object, object>;

/** The gRPC library and the services of our .proto files; imported when a server starts, because it takes as long as loading a small model. */
export interface LoadedLibrary {
  readonly grpc: GrpcLibrary;
  readonly packages: PackageDefinition;
  /** Both throw when the .proto files lack what the code needs: a broken package. */
  service(name: string): ServiceDefinition;
  method(service: string, name: string): Method;
}

export const INFERENCE_SERVICE = 'inference.GRPCInferenceService';
export const HEALTH_SERVICE = 'grpc.health.v1.Health';

/** The package's root lies three levels up from here, in the sources as in the build. */
const PROTOS = ['open_inference.proto', 'health.proto'].map((file) => fileURLToPath(new URL(`../../../protos/${file}`, import.meta.url)));

export async function loadLibrary(): Promise<LoadedLibrary> {
  const [grpc, loader] = await Promise.all([import('@grpc/grpc-js'), import('@grpc/proto-loader')]);
  // Field names stay as the files have them: reflection publishes them.
  const packages = await loader.load(PROTOS, { keepCase: true, defaults: true, longs: Number, enums: Number });
  const service = (name: string): ServiceDefinition => {
    const definition = packages[name];
    if (definition === undefined || 'format' in definition) throw new Error(`No service ${name} in ${PROTOS.join(', ')}`);
    return definition;
  };
  const method = (serviceName: string, name: string): Method => {
    const definition = service(serviceName)[name];
    if (definition === undefined) throw new Error(`No method ${serviceName}/${name} in ${PROTOS.join(', ')}`);
    return definition;
  };
  return { grpc, packages, service, method };
}
