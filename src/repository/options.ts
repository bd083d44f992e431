import { defineSection, integer, oneOf, seconds, type OptionsOf, type Schema } from '../options/index.ts';

const WARM_UP_ERROR = 'expected auto, on, off or a number from 1 to 1000';

function warmUp(): Schema<'auto' | 'on' | 'off' | number> {
  const words = oneOf(['auto', 'on', 'off'], { true: 'on', false: 'off' });
  const runs = integer(1, 1000);
  return {
    metavar: 'auto|on|off|N',
    read: (written) => {
      const word = words.read(written);
      if (word.ok) return word;
      const number = runs.read(written);
      return number.ok ? number : { ok: false, expected: WARM_UP_ERROR };
    },
  };
}

export const repositorySection = defineSection({
  title: 'Repository',
  options: {
    loadTimeoutMs: {
      name: 'load_timeout_seconds',
      schema: seconds({ min: 1, max: 86_400 }),
      default: 600,
      doc: 'longest time that loading one model may take, warm-up included',
    },
    warmUp: {
      name: 'warmup',
      schema: warmUp(),
      default: 'auto',
      doc: 'runs before a model serves: auto runs the requests in warmup/*.json of its directory, on makes up inputs where there are none, N does so N times',
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
