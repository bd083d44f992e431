import { boolean, bytes, defineSection, integer, seconds, text, type OptionsOf } from '../../options/index.ts';

export const httpSection = defineSection({
  title: 'HTTP',
  options: {
    maxBodyBytes: {
      name: 'max_body_bytes',
      schema: bytes(1, 2 ** 32),
      default: '64MiB',
      doc: 'largest request body after decompression; larger ones get 413',
    },
    maxHeaderBytes: {
      name: 'max_header_bytes',
      schema: bytes(1024, 2 ** 20),
      default: '16KiB',
      doc: 'largest head of a request; larger ones get 431',
    },
    headerTimeoutMs: {
      name: 'header_timeout_seconds',
      schema: seconds({ min: 0.1, max: 3600 }),
      default: 10,
      doc: 'longest time in which the head of a request must arrive',
    },
    bodyTimeoutMs: {
      name: 'body_timeout_seconds',
      schema: seconds({ min: 0.1, max: 3600 }),
      default: 60,
      doc: 'longest time without a further byte of a request body; then the request gets 408',
    },
    keepAliveTimeoutMs: {
      name: 'timeout_keep_alive',
      schema: seconds({ min: 0.1, max: 86_400 }),
      default: 65,
      doc: 'how long an idle connection is kept; longer than the idle timeout of any proxy in front',
    },
    maxJsonDepth: { name: 'max_json_depth', schema: integer(3, 10_000), default: 100, doc: 'deepest nesting of arrays and objects in a JSON body' },
    ceType: {
      name: 'ce_type',
      schema: text('TYPE'),
      default: 'io.kserve.inference.response',
      env: ['CE_TYPE'],
      doc: 'attribute type of the CloudEvents that answer CloudEvents',
    },
    ceSource: {
      name: 'ce_source',
      schema: text('SOURCE'),
      env: ['CE_SOURCE'],
      doc: 'attribute source of the CloudEvents that answer CloudEvents; without it io.kserve.inference. and the name of the model',
    },
    ceMerge: {
      name: 'ce_merge',
      schema: boolean(),
      default: false,
      env: ['CE_MERGE'],
      doc: 'copy the other attributes of a CloudEvent, extensions among them, to the one that answers it',
    },
    maxConnections: {
      name: 'max_connections',
      schema: integer(1, 1_000_000),
      default: 10_000,
      doc: 'connections at the same time; further ones are closed',
    },
  },
});

export type HttpSettings = OptionsOf<typeof httpSection>;
