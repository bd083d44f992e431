import type { PackageDefinition } from '@grpc/proto-loader';
import type { Server, ServerDuplexStream } from '@grpc/grpc-js';
import { ServingError } from '../../core/errors.ts';
import { asProtocWrites } from './descriptors.ts';
import type { GrpcLibrary } from './library.ts';
import { statusOf } from './status.ts';

type ReflectionStream = ServerDuplexStream<unknown, unknown>;
type AddService = Pick<Server, 'addService'>;

/**
 * Server reflection, v1 and v1alpha, for grpcurl and its like. Its clients may keep a stream open for hours; the returned function ends them all, so
 * that they do not hold up a shutdown.
 */
export async function addReflection(grpc: GrpcLibrary, server: AddService, packages: PackageDefinition): Promise<() => void> {
  const { ReflectionService } = await import('@grpc/reflection');
  const streams = new Set<ReflectionStream>();
  const tracking: AddService = {
    addService(service, implementation) {
      const tracked = Object.entries(implementation).map(([name, handler]) => [
        name,
        (stream: ReflectionStream) => {
          streams.add(stream);
          stream.once('cancelled', () => streams.delete(stream));
          (handler as (stream: ReflectionStream) => void)(stream);
        },
      ]);
      server.addService(service, Object.fromEntries(tracked) as typeof implementation);
    },
  };
  new ReflectionService(await asProtocWrites(packages)).addToServer(tracking);
  return () => {
    const status = statusOf(grpc, new ServingError('server_not_ready', 'Server is shutting down'));
    for (const stream of streams) stream.emit('error', status);
  };
}
