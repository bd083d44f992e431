import { defineSection, seconds, type OptionsOf } from '../options/index.ts';

export const repositorySection = defineSection({
  title: 'Repository',
  options: {
    loadTimeoutMs: {
      name: 'load_timeout_seconds',
      schema: seconds({ min: 1, max: 86_400 }),
      default: 600,
      doc: 'longest time that loading one model may take',
    },
    pollMs: {
      name: 'model_poll',
      schema: seconds({ max: 86_400 }),
      default: 0,
      doc: 'how often to look for a new version, in storage or in the model directory, which is loaded beside the one that serves; 0 never',
    },
  },
});

export type RepositorySettings = OptionsOf<typeof repositorySection>;
