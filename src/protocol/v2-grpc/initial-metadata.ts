import type { Metadata } from '@grpc/grpc-js';
import { ServingError } from '../../core/errors.ts';
import type { GrpcLibrary } from './library.ts';

/** Keys that say how an answer travels: gRPC's and HTTP/2's own. */
const TRANSPORT_KEY = /^(:|grpc-)|^(connection|content-encoding|content-length|content-type|date|keep-alive|te|trailer|transfer-encoding|upgrade)$/;

/** A handler's response headers as the metadata before the answer; `-bin` values are base64. Throws handler_failed for one that gRPC cannot carry. */
export function initialMetadata(grpc: GrpcLibrary, headers: Readonly<Record<string, string>>): Metadata {
  const metadata = new grpc.Metadata();
  for (const [name, value] of Object.entries(headers)) {
    if (TRANSPORT_KEY.test(name)) continue;
    try {
      metadata.set(name, name.endsWith('-bin') ? Buffer.from(value, 'base64') : value);
    } catch (cause) {
      const got = JSON.stringify(`${name}: ${value}`.slice(0, 100));
      throw new ServingError('handler_failed', `Cannot answer: expected response headers that gRPC can carry, got ${got}`, { cause });
    }
  }
  return metadata;
}
