import { isDatatype } from '../core/datatype.ts';
import type { Capabilities, Signature, TensorMetadata } from '../core/metadata.ts';
import type { Pipeline } from '../pipeline/index.ts';
import { asArray, asRecord, malformed } from './tensor-codec.ts';

/** What a child tells about a model it has loaded: metadata of a `loaded` frame. */
export type LoadedInChild = Omit<Pipeline, 'run' | 'dispose'>;

export function encodeLoaded(pipeline: Pipeline): LoadedInChild {
  const { signature, capabilities, platform, properties, isConcurrent, concurrency, isRetryable } = pipeline;
  const facts = { signature, capabilities, platform, properties, isConcurrent, isRetryable };
  return concurrency === undefined ? facts : { ...facts, concurrency };
}

/** Throws ServingError internal. */
export function decodeLoaded(metadata: unknown): LoadedInChild {
  const { signature, capabilities, platform, properties, isConcurrent, concurrency, isRetryable } = asRecord(metadata, 'loaded model');
  if (typeof platform !== 'string' || typeof isConcurrent !== 'boolean' || typeof isRetryable !== 'boolean') throw malformed('loaded model');
  return {
    signature: decodeSignature(asRecord(signature, 'signature')),
    capabilities: decodeCapabilities(asRecord(capabilities, 'capabilities')),
    platform,
    properties: Object.fromEntries(Object.entries(asRecord(properties, 'properties')).map(([name, value]) => [name, String(value)])),
    isConcurrent,
    isRetryable,
    ...(typeof concurrency === 'number' ? { concurrency } : undefined),
  };
}

function decodeSignature({ inputs, outputs, isOpen }: Readonly<Record<string, unknown>>): Signature {
  const tensors = { inputs: asArray(inputs, 'inputs').map(decodeTensorMetadata), outputs: asArray(outputs, 'outputs').map(decodeTensorMetadata) };
  return isOpen === true ? { isOpen, ...tensors } : tensors;
}

function decodeCapabilities({ accepts, explains, runsUserCode, isPure }: Readonly<Record<string, unknown>>): Capabilities {
  return {
    accepts: asArray(accepts, 'accepted media types').map(String),
    explains: explains === true,
    ...(runsUserCode === true ? { runsUserCode } : {}),
    ...(isPure === true ? { isPure } : {}),
  };
}

function decodeTensorMetadata(wire: unknown): TensorMetadata {
  const { name, datatype, shape, dimensionNames } = asRecord(wire, 'tensor metadata');
  if (typeof name !== 'string' || typeof datatype !== 'string' || !isDatatype(datatype)) throw malformed('tensor metadata');
  const sizes = asArray(shape, 'shape').map(Number);
  if (dimensionNames === undefined) return { name, datatype, shape: sizes };
  // JSON has no undefined: an unnamed dimension arrives as null.
  return {
    name,
    datatype,
    shape: sizes,
    dimensionNames: asArray(dimensionNames, 'dimension names').map((text) => (typeof text === 'string' ? text : undefined)),
  };
}
