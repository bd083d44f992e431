import type { HttpCall } from '../../core/http.ts';
import { mediaTypeOf } from '../../dataplane/index.ts';
import type { HttpSettings } from './options.ts';

/** How events are read and answered. */
export type EventOptions = Pick<HttpSettings, 'ceType' | 'ceSource' | 'ceMerge' | 'maxJsonDepth'>;

export type EventMode = 'binary' | 'structured';

const STRUCTURED = 'application/cloudevents';
export const STRUCTURED_JSON = 'application/cloudevents+json';

/**
 * How a request is a CloudEvent (HTTP protocol binding section 3): structured by its Content-Type, binary by the version in its headers; undefined when it is none.
 * An event that does not say so in one of these ways is a plain request.
 */
export function eventModeOf({ headers }: Pick<HttpCall, 'headers'>): EventMode | undefined {
  const contentType = headers['content-type'];
  if (contentType !== undefined && contentType.length >= STRUCTURED.length && mediaTypeOf(contentType) === STRUCTURED_JSON) return 'structured';
  return headers['ce-specversion'] === undefined ? undefined : 'binary';
}
