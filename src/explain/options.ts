import { auto, defineSection, finite, integer, oneOf, text, type OptionsOf } from '../options/index.ts';

export const explainerSection = defineSection({
  title: 'Explainer',
  options: {
    kind: {
      name: 'explainer',
      schema: oneOf(['kernel-shap', 'occlusion']),
      doc: 'explains predictions of models whose handler does not: kernel-shap tells what each feature adds, occlusion what each part of an image does',
    },
    background: {
      name: 'explainer_background',
      schema: text('FILE'),
      doc: 'rows that stand for "feature unknown" (kernel-shap needs it): a v2 request or a list of rows as JSON, or CSV of numbers; up to 100 rows are usual',
    },
    input: {
      name: 'explainer_input',
      schema: text('NAME'),
      doc: 'input whose values are explained, the only numeric one when not given; a request may name another in its parameter input',
    },
    output: {
      name: 'explainer_output',
      schema: text('NAME'),
      doc: 'output that is explained, the first of floating point when not given, else the first numeric one; a request may name another in its parameter output',
    },
    samples: {
      name: 'explainer_samples',
      schema: auto(integer(2, 1_000_000)),
      default: 'auto',
      doc: 'combinations of features that kernel-shap tries for a row; auto is all up to 12 features and 2 x features + 2048 beyond; a request may say otherwise in its parameter samples',
    },
    seed: {
      name: 'explainer_seed',
      schema: integer(0, 0xffff_ffff),
      default: 0,
      doc: 'chooses the combinations where not all are tried; a request may give another in its parameter seed',
    },
    maxFeatures: {
      name: 'explainer_max_features',
      schema: integer(1, 4096),
      default: 1024,
      doc: 'features that kernel-shap tells apart, not counting those that equal the background everywhere; rows with more are refused',
    },
    maxRows: {
      name: 'explainer_max_rows',
      schema: integer(1, 65_536),
      default: 256,
      doc: 'rows of one call of the model by an explainer; a request of somebody else waits for one call at most',
    },
    maxRequests: {
      name: 'explainer_max_requests',
      schema: integer(1, 1024),
      default: 16,
      doc: 'explanations that may be under way at the same time; further ones get 429',
    },
    patch: {
      name: 'explainer_patch',
      schema: auto(integer(1, 4096)),
      default: 'auto',
      doc: 'edge of the square that occlusion covers, in pixels; auto is a fifth of the shorter edge of the image; a request may say otherwise in its parameter patch',
    },
    stride: {
      name: 'explainer_stride',
      schema: auto(integer(1, 4096)),
      default: 'auto',
      doc: 'pixels from one square to the next, at most the edge of the square; auto is half of it; a request may say otherwise in its parameter stride',
    },
    baseline: {
      name: 'explainer_baseline',
      schema: finite(),
      default: 0,
      doc: 'value of covered pixels, in the units of the input; a request may give another in its parameter baseline',
    },
  },
});

export type ExplainerSettings = OptionsOf<typeof explainerSection>;
