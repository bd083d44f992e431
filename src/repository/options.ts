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
  },
});

export type RepositorySettings = OptionsOf<typeof repositorySection>;
