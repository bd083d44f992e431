import { boolean, defineSection, integer, localPath, modelName, oneOf, seconds, text, type OptionsOf } from '../options/index.ts';

export const targetSection = defineSection({
  title: 'What is asked',
  options: {
    url: { name: 'url', schema: text('URL'), doc: 'server to load: http://, https:// or grpc://, with a port; or give --model_dir' },
    modelDir: {
      name: 'model_dir',
      schema: localPath('DIR'),
      doc: 'model to start a server of our own with, on free ports; what follows -- goes to that server',
    },
    model: { name: 'model', schema: modelName(), flags: ['model_name'], doc: 'model to ask; the only one of the server when not given' },
    version: { name: 'model_version', schema: text('VERSION'), doc: 'version to ask; the server chooses when not given' },
    protocol: {
      name: 'protocol',
      schema: oneOf(['rest', 'rest-binary', 'grpc', 'grpc-typed', 'v1', 'http']),
      doc: 'v2 REST in JSON or with binary tensors, gRPC with raw or typed contents, v1 :predict, or http: a POST of --request to the URL itself (default rest, grpc for a grpc:// URL)',
    },
    request: {
      name: 'request',
      schema: localPath('FILE'),
      doc: 'JSON request to send as it is, for rest, v1 and http; else inputs are made from the metadata',
    },
    contentType: { name: 'content_type', schema: text('TYPE'), default: 'application/json', doc: 'media type of --request' },
    headers: { name: 'headers', schema: text('JSON'), secret: true, doc: 'further headers or gRPC metadata, such as {"Host": "model.example.com"}' },
    shape: {
      name: 'shape',
      schema: text('NAME:DIMS'),
      doc: 'shape of inputs, such as image:1,3,224,224, several separated by semicolons; dimensions that vary are 1 when not given',
    },
    samples: {
      name: 'samples',
      schema: integer(1, 10_000),
      default: 8,
      doc: 'different requests that are made and sent in turn, at most 64 MiB of them',
    },
    seed: { name: 'seed', schema: integer(0, 2 ** 32 - 1), default: 1, doc: 'of the random inputs and arrivals: the same seed, the same requests' },
  },
});

export const loadSection = defineSection({
  title: 'Load',
  options: {
    concurrency: {
      name: 'concurrency',
      schema: text('N,N,…'),
      doc: 'closed loop: so many requests under way at any time; several are measured one after the other (default 1,2,4,8,16)',
    },
    rate: {
      name: 'rate',
      schema: text('N,N,…'),
      doc: 'open loop: so many requests a second, whatever the server does; latencies count from the time a request was due',
    },
    arrivals: { name: 'arrivals', schema: oneOf(['poisson', 'constant']), default: 'poisson', doc: 'times between requests of the open loop' },
    maxInFlight: {
      name: 'max_in_flight',
      schema: integer(1, 10_000),
      default: 256,
      doc: 'requests of the open loop under way at most; those that are due meanwhile wait, and their latency grows',
    },
    durationMs: {
      name: 'duration',
      schema: seconds({ min: 0.1, max: 86_400 }),
      default: 10,
      flags: ['duration_seconds'],
      doc: 'of each measurement',
    },
    warmupMs: {
      name: 'warmup',
      schema: seconds({ max: 3600 }),
      default: 1,
      flags: ['warmup_seconds'],
      doc: 'load before each measurement that does not count',
    },
    requests: { name: 'requests', schema: integer(1), doc: 'requests of each measurement, instead of --duration' },
    timeoutMs: {
      name: 'timeout',
      schema: seconds({ min: 0.001, max: 3600 }),
      default: 30,
      flags: ['timeout_seconds'],
      doc: 'longest wait for one answer',
    },
    connections: {
      name: 'connections',
      schema: integer(1, 10_000),
      default: 1,
      doc: 'HTTP/2 connections that gRPC requests share; HTTP has one for each request under way',
    },
  },
});

export const resultSection = defineSection({
  title: 'Result',
  options: {
    verify: {
      name: 'verify',
      schema: boolean(),
      default: false,
      doc: 'compare each answer with the one that the same request got alone, before the load',
    },
    maxErrorRatio: {
      name: 'max_error_ratio',
      schema: text('SHARE'),
      default: '0',
      doc: 'share of failed and wrong answers, 0 to 1, up to which the exit code is 0',
    },
    json: { name: 'json', schema: localPath('FILE'), doc: 'where to write the figures' },
    html: { name: 'html', schema: localPath('FILE'), doc: 'where to write a page with latency curves' },
    serverPid: {
      name: 'server_pid',
      schema: integer(1),
      doc: 'process of a server on this Linux machine, to tell its CPU time and memory, children included',
    },
  },
});

/** Every option of the load generator, for the command line and its help. */
export const BENCH_SECTIONS = { target: targetSection, load: loadSection, result: resultSection } as const;

export type TargetOptions = OptionsOf<typeof targetSection>;
export type LoadOptions = OptionsOf<typeof loadSection>;
export type ResultOptions = OptionsOf<typeof resultSection>;
