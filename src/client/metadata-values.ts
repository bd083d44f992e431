import { isDatatype } from '../core/datatype.ts';
import type { ModelIndexEntry, TensorMetadata } from '../core/metadata.ts';
import { invalidResponse } from './inference-error.ts';

const STATES: readonly string[] = ['READY', 'LOADING', 'UNLOADING', 'UNAVAILABLE'];

/** A state that is absent or unknown counts as UNAVAILABLE: Triton leaves it out for models it has never loaded. */
export function toIndexEntry(name: string, version: string, state: string, reason: string): ModelIndexEntry {
  return { name, version, state: STATES.includes(state) ? (state as ModelIndexEntry['state']) : 'UNAVAILABLE', reason };
}

/** Throws invalid_response for a datatype that the protocol does not have. */
export function toTensorMetadata(name: string, datatype: string, shape: readonly number[]): TensorMetadata {
  if (!isDatatype(datatype)) throw invalidResponse(`Cannot read the metadata of tensor "${name}": no such datatype as "${datatype}"`);
  return { name, datatype, shape };
}
