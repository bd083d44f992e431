import { boolean, defineSection, integer, localPath, text, type OptionsOf } from '../options/index.ts';

export const handlerSection = defineSection({
  title: 'Handler',
  options: {
    handler: { name: 'handler', schema: localPath('FILE'), doc: 'module (.ts, .mts, .js, .mjs) with the code to run around the model' },
    enableModelHandlers: {
      name: 'enable_model_handlers',
      schema: boolean(),
      default: false,
      doc: 'run a handler.ts, .mts, .js or .mjs that lies in a model directory; code that arrives with a model is left alone otherwise',
    },
    concurrency: { name: 'handler_concurrency', schema: integer(1, 65_536), default: 64, doc: 'requests inside the handler at once' },
    env: {
      name: 'handler_env',
      schema: text('NAMES'),
      doc: 'variables that the handler may see beside the harmless ones, separated by commas',
    },
    heapMb: {
      name: 'handler_heap_mb',
      schema: integer(0, 1_048_576),
      default: 0,
      doc: "largest JavaScript heap of the handler's process in MiB, 0 for Node's own limit",
    },
    maxStuck: {
      name: 'handler_max_stuck',
      schema: integer(0, 65_536),
      default: 16,
      doc: 'handler calls that may stay without an end after their request was given up; one more and the model is loaded anew',
    },
    watch: { name: 'watch', schema: boolean(), default: false, doc: 'load a handler or model anew when its file changes' },
  },
});

export type HandlerSettings = OptionsOf<typeof handlerSection>;
