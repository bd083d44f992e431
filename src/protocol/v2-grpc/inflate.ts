import { invalidRequest, ServingError } from '../../core/errors.ts';
import { tooLarge } from './frame-reader.ts';

/** What `grpc-encoding` may say; in the order of header `grpc-accept-encoding`. */
export const ENCODINGS = ['identity', 'gzip', 'deflate'] as const;

/**
 * Inflates a message on a pool thread. Throws unimplemented for an encoding that we do not know, invalid_request for broken bytes or no encoding at all,
 * payload_too_large for more than `maxBytes` (-1: no limit), of which no more is ever inflated.
 */
export async function inflateMessage(message: Buffer, encoding: string | undefined, maxBytes: number): Promise<Buffer> {
  if (encoding !== 'gzip' && encoding !== 'deflate') throw cannotInflate(encoding);
  // Few clients compress.
  const { gunzip, inflate } = await import('node:zlib');
  const options = maxBytes < 0 ? {} : { maxOutputLength: Math.max(1, maxBytes) };
  return await new Promise((resolve, reject) => {
    (encoding === 'gzip' ? gunzip : inflate)(message, options, (error: NodeJS.ErrnoException | null, bytes) => {
      if (error === null && (maxBytes < 0 || bytes.length <= maxBytes)) resolve(bytes);
      else if (error === null || error.code === 'ERR_BUFFER_TOO_LARGE') reject(tooLarge(maxBytes, 'more after inflating'));
      else reject(invalidRequest(`Cannot inflate the message: expected ${encoding} data, got ${error.message}`));
    });
  });
}

function cannotInflate(encoding: string | undefined): ServingError {
  if (encoding === undefined || encoding === 'identity') {
    return invalidRequest(`Cannot read the message: its flag says that it is compressed, but header grpc-encoding is ${encoding ?? 'absent'}`);
  }
  return new ServingError('unimplemented', `Cannot read the message: expected grpc-encoding ${ENCODINGS.join(', ')}, got "${encoding.slice(0, 64)}"`);
}
