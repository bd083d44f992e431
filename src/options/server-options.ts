import { auto, boolean, integer, modelName, pathOrUri, seconds, text } from './kinds.ts';
import { defineSection, type OptionsOf } from './section.ts';

export const serverSection = defineSection({
  title: 'Server',
  options: {
    modelDir: {
      name: 'model_dir',
      schema: pathOrUri('DIR|URI'),
      doc:
        'directory that holds the model, or one sub-directory for each of several models, or the URI of one in storage (s3://, gs://, https://, hf:// …), ' +
        'which is downloaded; needed without --handler and --predictor_host',
    },
    modelName: {
      name: 'model_name',
      schema: modelName(),
      doc: 'name of a single model, model when not given; the models of a repository are named after their directories',
    },
    host: { name: 'host', schema: text('ADDRESS'), default: '0.0.0.0', doc: 'address to listen on, :: for IPv6 and IPv4' },
    port: {
      name: 'port',
      schema: integer(0, 65_535),
      doc: 'one port for REST and gRPC, 0 for any free one; then --http_port and --grpc_port do not count',
    },
    httpPort: {
      name: 'http_port',
      schema: integer(0, 65_535),
      default: 8080,
      env: ['PORT'],
      doc: 'port for REST, and for gRPC beside it, 0 for any free one',
    },
    grpcPort: { name: 'grpc_port', schema: integer(0, 65_535), default: 8081, doc: 'port for gRPC alone, 0 for any free one' },
    enableGrpc: { name: 'enable_grpc', schema: boolean(), default: true, doc: 'whether to serve gRPC' },
    lameDuck: {
      name: 'lame_duck_seconds',
      schema: auto(seconds({ max: 3600 })),
      default: 'auto',
      doc: 'how long to keep serving after SIGTERM while the cluster stops sending; auto is 0 behind Knative, else 5, and at most half of the grace period',
    },
    gracePeriodMs: {
      name: 'grace_period_seconds',
      schema: seconds({ min: 1, max: 86_400 }),
      default: 30,
      doc: 'longest time from SIGTERM to the end of the process, as terminationGracePeriodSeconds of the pod',
    },
    startupReport: {
      name: 'startup_report',
      schema: boolean(),
      default: false,
      doc: 'print how long each part of the start took once the first inference is answered',
    },
    printExample: {
      name: 'print_example',
      schema: boolean(),
      default: false,
      doc: 'print the URLs and a request to paste once the server is ready; on a terminal that happens anyway',
    },
  },
});

/** As written; `lameDuck` is still to be decided where it is `auto`. */
export type ServerOptions = OptionsOf<typeof serverSection>;
