import { defineSection, integer, oneOf, type OptionsOf } from '../options/index.ts';

export const executorSection = defineSection({
  title: 'Executor',
  options: {
    isolation: {
      name: 'isolation',
      schema: oneOf(['auto', 'inline', 'process']),
      default: 'auto',
      doc: 'where models run: inline in the serving process, or in a supervised process beside it; auto is inline for a single model, else process',
    },
    stopTimeoutMs: {
      name: 'stop_timeout_ms',
      schema: integer(0, 3_600_000),
      default: 1000,
      doc: 'milliseconds that a cancelled run may go on before its process is replaced (isolation process)',
    },
  },
});

export type ExecutorSettings = OptionsOf<typeof executorSection>;
