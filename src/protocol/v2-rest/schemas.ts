import { DATATYPES } from '../../core/datatype.ts';
import type { JsonSchema } from '../http/index.ts';

const NAME = { type: 'string' };
const SIZES = { type: 'array', items: { type: 'integer', minimum: 0 } };
/** Nested as the shape says, or flat in row-major order; 64-bit integers are written in full. */
const DATA = { type: 'array', items: {} };
const NULL = { type: 'null' };
const PARAMETERS = { $ref: '#/components/schemas/Parameters' };
/** null stands for an absent optional field, as KServe writes it. */
const OPTIONAL_PARAMETERS = { anyOf: [PARAMETERS, NULL] };
const OPTIONAL_TEXT = { type: ['string', 'null'] };
const COUNT = { type: 'integer', minimum: 0 };
const DURATION = { $ref: '#/components/schemas/StatisticDuration' };
const DATATYPE = { $ref: '#/components/schemas/Datatype' };

function object(properties: Readonly<Record<string, unknown>>, required: readonly string[] = Object.keys(properties)): JsonSchema {
  return required.length === 0 ? { type: 'object', properties } : { type: 'object', properties, required };
}

function arrayOf(name: string): JsonSchema {
  return { type: 'array', items: { $ref: `#/components/schemas/${name}` } };
}

/** Bodies of the v2 routes, by the names that their documentation uses. Unknown members are ignored where none are forbidden. */
export const V2_SCHEMAS: Readonly<Record<string, JsonSchema>> = {
  Error: object({ error: { type: 'string' } }),
  Alive: object({ status: { const: 'alive' } }),
  Live: object({ live: { const: true } }),
  Ready: object({ ready: { const: true } }),
  ServerMetadata: object({ name: { type: 'string' }, version: { type: 'string' }, extensions: { type: 'array', items: { type: 'string' } } }),
  ModelList: object({ models: { type: 'array', items: NAME } }),
  ModelReady: object({ name: NAME, ready: { const: true } }),
  TensorMetadata: object({ name: NAME, datatype: DATATYPE, shape: { type: 'array', items: { type: 'integer', minimum: -1 } } }),
  ModelMetadata: object({
    name: NAME,
    versions: { type: 'array', items: { type: 'string' } },
    platform: { type: 'string' },
    inputs: arrayOf('TensorMetadata'),
    outputs: arrayOf('TensorMetadata'),
    properties: { type: 'object', additionalProperties: { type: 'string' } },
  }),
  StatisticDuration: object({ count: COUNT, ns: COUNT }),
  BatchStatistics: object({ batch_size: COUNT, compute_input: DURATION, compute_infer: DURATION, compute_output: DURATION }),
  InferStatistics: object({
    success: DURATION,
    fail: DURATION,
    queue: DURATION,
    compute_input: DURATION,
    compute_infer: DURATION,
    compute_output: DURATION,
    cache_hit: DURATION,
    cache_miss: DURATION,
  }),
  ModelStatistics: object({
    name: NAME,
    version: { type: 'string' },
    last_inference: COUNT,
    inference_count: COUNT,
    execution_count: COUNT,
    inference_stats: { $ref: '#/components/schemas/InferStatistics' },
    batch_stats: arrayOf('BatchStatistics'),
    memory_usage: { type: 'array', maxItems: 0 },
    response_stats: { type: 'object', maxProperties: 0 },
  }),
  ModelStatisticsList: object({ model_stats: arrayOf('ModelStatistics') }),
  Datatype: { enum: DATATYPES },
  Parameters: { type: 'object', additionalProperties: { type: ['string', 'number', 'boolean'] } },
  InferRequest: object(
    {
      id: OPTIONAL_TEXT,
      parameters: OPTIONAL_PARAMETERS,
      inputs: arrayOf('RequestInput'),
      outputs: { anyOf: [arrayOf('RequestOutput'), NULL] },
    },
    ['inputs'],
  ),
  RequestInput: object({ name: NAME, shape: SIZES, datatype: DATATYPE, parameters: OPTIONAL_PARAMETERS, data: { anyOf: [DATA, NULL] } }, [
    'name',
    'shape',
    'datatype',
  ]),
  RequestOutput: object({ name: NAME, parameters: OPTIONAL_PARAMETERS }, ['name']),
  InferResponse: object(
    {
      model_name: NAME,
      model_version: OPTIONAL_TEXT,
      id: OPTIONAL_TEXT,
      parameters: OPTIONAL_PARAMETERS,
      outputs: arrayOf('ResponseOutput'),
    },
    ['model_name', 'outputs'],
  ),
  ResponseOutput: object({ name: NAME, shape: SIZES, datatype: DATATYPE, parameters: OPTIONAL_PARAMETERS, data: DATA }, [
    'name',
    'shape',
    'datatype',
  ]),
  RepositoryIndexRequest: object({ ready: { type: 'boolean' } }, []),
  RepositoryIndex: arrayOf('RepositoryIndexEntry'),
  RepositoryIndexEntry: object({
    name: NAME,
    version: { type: 'string' },
    state: { enum: ['READY', 'LOADING', 'UNLOADING', 'UNAVAILABLE'] },
    reason: { type: 'string' },
  }),
  RepositoryLoadRequest: object({ parameters: { type: 'object', maxProperties: 0 } }, []),
  RepositoryLoad: object({ name: NAME, load: { const: true } }),
  RepositoryUnloadRequest: object(
    { parameters: { type: 'object', properties: { unload_dependents: { type: 'boolean' } }, additionalProperties: false } },
    [],
  ),
  RepositoryUnload: object({ name: NAME, unload: { const: true } }),
};
