import { defineSection, integer, oneOf, type OptionsOf } from '../options/index.ts';

export const engineSection = defineSection({
  title: 'Engine',
  options: {
    onnxBinding: {
      name: 'onnx_binding',
      schema: oneOf(['auto', 'native', 'node']),
      default: 'auto',
      doc: "how ONNX Runtime is called: native through its C API, node through the npm package's binding, which blocks while it runs; auto is native where it loads",
    },
    provider: {
      name: 'provider',
      schema: oneOf(['auto', 'cpu', 'cuda']),
      default: 'auto',
      doc: 'device that runs models; auto is cuda where it works, else cpu; cuda fails to start without it',
    },
    intraOpThreads: {
      name: 'intra_op_threads',
      schema: integer(0, 1024),
      default: 0,
      flags: ['nthread'],
      doc: 'threads of one run, 0 for as many as the CPU quota gives',
    },
    interOpThreads: { name: 'inter_op_threads', schema: integer(1, 1024), default: 1, doc: "nodes of a model's graph that run side by side" },
  },
});

/** As chosen by people; the owner of the thread budget turns `intraOpThreads: 0` into a number. */
export type EngineSettings = OptionsOf<typeof engineSection>;
