import type { Dataplane } from '../../dataplane/index.ts';

export interface V2Dependencies {
  readonly dataplane: Dataplane;
  /** Deepest nesting of arrays and objects that a JSON body may have. */
  readonly maxJsonDepth: number;
}
