import type { Observed } from './advance.ts';
import type { KubeObject } from './cluster.ts';
import type { Selectors } from './measure.ts';
import type { Mode, RolloutState } from './state.ts';

/** What a rollout begins with; refused when there is nothing to begin with. */
export interface Beginning {
  readonly previous?: unknown;
  readonly change?: unknown;
  readonly kept: unknown;
  readonly stable: string;
  readonly canary?: string;
  readonly route?: string;
}

/** A way to have two predictors side by side and to split traffic between them. */
export interface Target {
  readonly mode: Mode;
  /** Checks everything that can be checked before something changes, by dry runs too. Undefined: there is nothing to roll out. Rejects when it cannot be. */
  begin(service: KubeObject): Promise<Beginning | undefined>;
  /** Makes the cluster as `state` says; may be called again and again. */
  enact(state: RolloutState): Promise<void>;
  observe(state: RolloutState): Promise<Observed>;
  selectors(state: RolloutState): Selectors;
}
