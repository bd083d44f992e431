import { ServingError } from '../../core/errors.ts';

/**
 * The media type of a body, in lower case without its parameters; `fallback` when the header is absent. Throws unsupported_media_type when it is none of
 * `accepted` or names a charset other than UTF-8.
 */
export function readMediaType<T extends string>(header: string | undefined, accepted: readonly T[], fallback: T): T {
  if (header === undefined || header.trim() === '') return fallback;
  const [type = '', ...parameters] = header.split(';');
  const name = type.trim().toLowerCase();
  const found = accepted.find((candidate) => candidate === name);
  if (found === undefined) throw unsupported(`Content-Type ${accepted.join(' or ')}`, header);
  for (const parameter of parameters) {
    const [key = '', value = ''] = parameter.split('=');
    if (key.trim().toLowerCase() !== 'charset') continue;
    const charset = value
      .trim()
      .replace(/^"(.*)"$/, '$1')
      .toLowerCase();
    if (charset !== 'utf-8' && charset !== 'utf8') throw unsupported('charset utf-8', header);
  }
  return found;
}

function unsupported(expected: string, got: string): ServingError {
  return new ServingError('unsupported_media_type', `Cannot read the body: expected ${expected}, got "${got.slice(0, 100)}"`);
}
