import type { Dataplane } from '../../dataplane/index.ts';
import type { EventOptions } from '../http/index.ts';

export interface V2Dependencies {
  readonly dataplane: Dataplane;
  /** Deepest nesting of arrays and objects that a JSON body may have. */
  readonly maxJsonDepth: number;
  readonly events: EventOptions;
}
