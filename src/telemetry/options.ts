import { boolean, defineSection, oneOf, type OptionsOf } from '../options/index.ts';

export const telemetrySection = defineSection({
  title: 'Telemetry',
  options: {
    logLevel: {
      name: 'log_level',
      schema: oneOf(['debug', 'info', 'warn', 'error', 'silent'], { warning: 'warn', critical: 'error' }),
      default: 'info',
      env: ['KSERVE_LOGLEVEL'],
      doc: 'least severe log records to write',
    },
    logFormat: {
      name: 'log_format',
      schema: oneOf(['auto', 'json', 'pretty']),
      default: 'auto',
      doc: 'one JSON object per line, or lines for people; auto is pretty on a terminal, else json',
    },
    enableLatencyLogging: {
      name: 'enable_latency_logging',
      schema: boolean(),
      default: true,
      doc: 'whether to log the milliseconds of each stage for every inference request',
    },
  },
});

export type TelemetrySettings = OptionsOf<typeof telemetrySection>;
