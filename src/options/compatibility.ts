/** A flag of KServe's own servers that means nothing here: accepted with a warning, so that a ServingRuntime written for those servers starts. */
export interface CompatibilityFlag {
  readonly name: string;
  readonly reason: string;
  readonly isBoolean?: true;
  /** The option that takes its value when nobody gave that one. */
  readonly standsFor?: string;
}

/** Flags of KServe 0.20's `kserve.model_server` that are no options of ours. Command line only. */
export const COMPATIBILITY_FLAGS: readonly CompatibilityFlag[] = [
  { name: 'workers', standsFor: 'instances', reason: 'one process serves all requests' },
  { name: 'max_threads', reason: 'gRPC needs no thread pool here' },
  { name: 'max_asyncio_workers', reason: 'there is no asyncio here, see --instances and --intra_op_threads' },
  { name: 'enable_docs_url', isBoolean: true, reason: 'the OpenAPI document is always at /openapi.json' },
  { name: 'configure_logging', isBoolean: true, reason: 'see --log_level and --log_format' },
  { name: 'log_config_file', reason: 'it is a Python logging configuration, see --log_level and --log_format' },
  { name: 'access_log_format', reason: 'logs are structured, see --log_format' },
  { name: 'event_loop', reason: 'it chooses between event loops of Python' },
];
