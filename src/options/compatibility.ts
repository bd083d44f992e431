/** A flag of KServe's own servers that means nothing here, or not what its user expects. */
export interface CompatibilityFlag {
  readonly name: string;
  /** `ignored`: accepted with a warning, so that a ServingRuntime written for KServe's servers starts. `refused`: serving without it would be wrong. */
  readonly effect: 'ignored' | 'refused';
  readonly reason: string;
  readonly isBoolean?: true;
  /** The option that takes its value when nobody gave that one. */
  readonly standsFor?: string;
}

/** Flags of KServe 0.20's `kserve.model_server` that are no options of ours. Command line only. */
export const COMPATIBILITY_FLAGS: readonly CompatibilityFlag[] = [
  { name: 'workers', effect: 'ignored', standsFor: 'instances', reason: 'one process serves all requests' },
  { name: 'max_threads', effect: 'ignored', reason: 'gRPC needs no thread pool here' },
  { name: 'max_asyncio_workers', effect: 'ignored', reason: 'there is no asyncio here, see --instances and --intra_op_threads' },
  { name: 'enable_docs_url', effect: 'ignored', isBoolean: true, reason: 'the OpenAPI document is always at /openapi.json' },
  { name: 'configure_logging', effect: 'ignored', isBoolean: true, reason: 'see --log_level and --log_format' },
  { name: 'log_config_file', effect: 'ignored', reason: 'it is a Python logging configuration, see --log_level and --log_format' },
  { name: 'access_log_format', effect: 'ignored', reason: 'logs are structured, see --log_format' },
  { name: 'event_loop', effect: 'ignored', reason: 'it chooses between event loops of Python' },
];
