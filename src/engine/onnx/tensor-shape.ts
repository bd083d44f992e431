import type { Datatype } from '../../core/datatype.ts';
import type { TensorMetadata } from '../../core/metadata.ts';

/**
 * Metadata of a tensor of which not even the number of dimensions is known: shape `[]`, as ONNX Runtime itself reports it. A request may give any shape
 * for such an input, and the library refuses one that a true scalar cannot take.
 */
export function unrankedMetadata(name: string, datatype: Datatype): TensorMetadata {
  return { name, datatype, shape: [] };
}

/** Metadata of a tensor with a known number of dimensions; `names[i]` names dimension i where it varies. */
export function rankedMetadata(name: string, datatype: Datatype, shape: readonly number[], names: readonly (string | undefined)[]): TensorMetadata {
  if (names.every((text) => text === undefined)) return { name, datatype, shape };
  return { name, datatype, shape, dimensionNames: names };
}
