import { boolean, bytes, defineSection, integer, narrow, oneOf, seconds, text, type OptionsOf, type Schema } from '../../options/index.ts';

/** KServe's own flags of transformers and explainers. */
export const predictorSection = defineSection({
  title: 'Predictor elsewhere',
  options: {
    host: {
      name: 'predictor_host',
      schema: host(),
      doc: 'host[:port] of the predictor that a transformer or an explainer asks instead of a model of its own; KServe sets it',
    },
    protocol: {
      name: 'predictor_protocol',
      schema: oneOf(['v1', 'v2', 'grpc-v2']),
      default: 'v1',
      flags: ['protocol'],
      doc: 'protocol of that predictor; v1 carries no datatypes, grpc-v2 costs least',
    },
    useSsl: { name: 'predictor_use_ssl', schema: boolean(), default: false, doc: 'whether the predictor is asked over TLS' },
    caFile: {
      name: 'predictor_ca_file',
      schema: text('FILE'),
      env: ['REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE'],
      doc: "PEM file of the certificates that the predictor's is checked against, instead of the platform's",
    },
    requestTimeoutMs: {
      name: 'predictor_request_timeout_seconds',
      schema: seconds({ min: 0.001 }),
      default: 600,
      doc: "longest time that the predictor may take, retries included; the request's own deadline counts when it is earlier",
    },
    retries: {
      name: 'predictor_request_retries',
      schema: integer(0, 100),
      default: 0,
      doc: 'further attempts when the predictor cannot be reached or says that it is not available',
    },
    maxResponseBytes: {
      name: 'predictor_max_response_bytes',
      schema: bytes(1, 2 ** 32 - 1),
      default: '1GiB',
      doc: 'largest answer that is read from the predictor; larger ones fail the request with 502',
    },
    enableHealthCheck: {
      name: 'enable_predictor_health_check',
      schema: boolean(),
      default: false,
      doc: 'whether the model is ready only while the predictor says that it is',
    },
  },
});

/** As given; `toPredictorOptions` makes of it what a predictor is reached with. */
export type PredictorSettings = OptionsOf<typeof predictorSection>;

/** `host`, `host:port` or `[ipv6]:port`, with a path for predictors behind one. */
function host(): Schema<string> {
  const expected = 'expected host[:port] without a scheme, see --predictor_use_ssl';
  return narrow(text('HOST'), expected, (value) => /^(\[[0-9a-f:.]+\]|[\w.-]+)(:\d{1,5})?(\/[\w./~%-]*)?$/i.test(value));
}
