export { createExplainer, type ExplainerDependencies } from './create-explainer.ts';
export type { ExplainObserver } from './question.ts';
