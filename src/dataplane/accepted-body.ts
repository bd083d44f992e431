import { ServingError } from '../core/errors.ts';
import type { Body } from '../core/infer.ts';
import type { ResolvedModel } from './dataplane.ts';

const JSON_TYPE = 'application/json';

/** The media type of a Content-Type, in lower case without its parameters. */
export function mediaTypeOf(contentType: string): string {
  const end = contentType.indexOf(';');
  return (end === -1 ? contentType : contentType.slice(0, end)).trim().toLowerCase();
}

/**
 * Whether a model that accepts these media types takes a body of this Content-Type as it is. Parameters do not matter; a star stands for any subtype or
 * for any type, JSON excepted: a JSON body holds tensors unless `application/json` is named.
 */
export function acceptsBody(accepts: readonly string[], contentType: string): boolean {
  if (accepts.length === 0) return false;
  const type = mediaTypeOf(contentType);
  return accepts.some((pattern) => matches(mediaTypeOf(pattern), type));
}

function matches(pattern: string, type: string): boolean {
  if (pattern === type) return true;
  if (type === JSON_TYPE) return false;
  return pattern === '*/*' || (pattern.endsWith('/*') && type.startsWith(pattern.slice(0, -1)));
}

/** Throws unsupported_media_type unless the model takes the body. JSON fits a model of unknown signature too: v1 has no tensors then. */
export function checkBody({ contentType }: Body, { name, signature, capabilities }: ResolvedModel): void {
  const { accepts } = capabilities;
  if (acceptsBody(accepts, contentType)) return;
  if (signature.isOpen === true && mediaTypeOf(contentType) === JSON_TYPE) return;
  const expected = accepts.length === 0 ? 'tensors' : `tensors or ${accepts.join(', ')}`;
  throw new ServingError(
    'unsupported_media_type',
    `Cannot use the body for model "${name}": expected ${expected}, got "${contentType.slice(0, 100)}"`,
  );
}
