import type { Logger } from '../core/context.ts';
import { ServingError } from '../core/errors.ts';
import type { Explainer } from '../dataplane/index.ts';
import type { Background } from './background.ts';
import type { ExplainerSettings } from './options.ts';
import type { ExplainObserver } from './question.ts';

export interface ExplainerDependencies {
  readonly log: Logger;
  readonly observer?: ExplainObserver;
}

/** Rows of background beyond which there is a warning: every combination of features is tried with each of them. */
const MANY_ROWS = 100;

/**
 * The explainer that the options ask for, undefined without one. Reads the background once, here. Throws ServingError with one line that names the option
 * and the fix.
 */
export async function createExplainer(settings: ExplainerSettings, deps: ExplainerDependencies): Promise<Explainer | undefined> {
  const { kind, maxRequests } = settings;
  if (kind === undefined) return undefined;
  const explain = kind === 'kernel-shap' ? await loadKernelShap(settings, deps) : await loadOcclusion(settings, deps);
  return limited(explain, maxRequests, deps.observer);
}

async function loadKernelShap(settings: ExplainerSettings, deps: ExplainerDependencies): Promise<Explainer['explain']> {
  if (settings.background === undefined) {
    throw new ServingError('invalid_request', '--explainer_background: expected a file of typical input rows with --explainer kernel-shap, got none');
  }
  const { readBackground } = await import('./background.ts');
  const background = await readBackground(settings.background);
  const rows = mostRows(background);
  if (rows > MANY_ROWS) {
    deps.log.warn({ rows }, `Explanations take long with a background of many rows: expected up to ${MANY_ROWS}, see --explainer_background`);
  }
  const { createKernelShap } = await import('./kernel-shap.ts');
  return createKernelShap(settings, background, deps);
}

function mostRows({ byInput, unnamed }: Background): number {
  return Math.max(unnamed?.rows ?? 0, ...[...byInput.values()].map(({ rows }) => rows));
}

async function loadOcclusion(settings: ExplainerSettings, deps: ExplainerDependencies): Promise<Explainer['explain']> {
  const { patch, stride } = settings;
  if (patch !== 'auto' && stride !== 'auto' && stride > patch) {
    throw new ServingError('invalid_request', `--explainer_stride: expected at most --explainer_patch (${patch}), got ${stride}`);
  }
  const { createOcclusion } = await import('./occlusion.ts');
  return createOcclusion(settings, deps);
}

/** Explanations hold memory and time of the serving process for long: there are only so many at a time. */
function limited(explain: Explainer['explain'], maxRequests: number, observer: ExplainObserver = {}): Explainer {
  let underWay = 0;
  return {
    explain: async (request, model, predict, ctx) => {
      if (underWay >= maxRequests) {
        throw new ServingError(
          'overloaded',
          `Cannot explain now: ${underWay} explanations are under way, which is the limit (--explainer_max_requests)`,
        );
      }
      underWay++;
      const startedAt = performance.now();
      try {
        const response = await explain(request, model, predict, ctx);
        observer.explained?.(model.name, ctx, performance.now() - startedAt);
        return response;
      } finally {
        underWay--;
      }
    },
  };
}
