import { elementBytes } from '../core/datatype.ts';
import { invalidRequest, type ServingError } from '../core/errors.ts';
import type { Signature, TensorMetadata } from '../core/metadata.ts';
import { checkTensor, formatShape, isBytesData, type Tensor } from '../core/tensor.ts';
import { listNames, quoteName } from './name-list.ts';

/**
 * Checks a request's inputs against a signature: every input there once, none unknown, datatype, rank and fixed dimensions as declared, data that
 * fills the shape. A declared shape of `[]` is a scalar or an unknown rank, which engines cannot always tell apart: it accepts any shape and the
 * engine has the last word. Throws ServingError invalid_request that names the input and both states.
 */
export function checkInputs(inputs: readonly Tensor[], signature: Signature, modelName: string): void {
  const declared = declaredInputs(signature);
  const seen = new Uint8Array(signature.inputs.length);
  for (let i = 0; i < inputs.length; i++) {
    const input = inputs[i];
    if (input === undefined) continue;
    const entry = declared.get(input.name);
    if (entry === undefined) throw refuseNames('Unexpected', input.name, signature, modelName);
    if (seen[entry.index] === 1) throw invalidRequest(`Duplicate input ${quoteName(input.name)} for model ${quoteName(modelName)}: expected it once`);
    seen[entry.index] = 1;
    checkInput(input, entry.metadata);
  }
  for (let i = 0; i < seen.length; i++) {
    const metadata = signature.inputs[i];
    if (seen[i] === 0 && metadata !== undefined) throw refuseNames('Missing', metadata.name, signature, modelName);
  }
}

function checkInput(input: Tensor, metadata: TensorMetadata): void {
  if (input.datatype !== metadata.datatype || !fitsShape(input.shape, metadata.shape)) {
    const expected = `${metadata.datatype} ${formatShape(metadata.shape)}`;
    throw invalidRequest(`Cannot use input ${quoteName(input.name)}: expected ${expected}, got ${input.datatype} ${formatShape(input.shape)}`);
  }
  checkTensor(input, `input ${quoteName(input.name)}`);
  // Engines read native memory by datatype and count, so the storage must be of that datatype as well.
  if (!holdsDatatype(input)) {
    throw invalidRequest(`Cannot use input ${quoteName(input.name)}: its data is not stored as ${input.datatype}`);
  }
}

function holdsDatatype({ datatype, data }: Tensor): boolean {
  if (datatype === 'BYTES') return isBytesData(data);
  return !isBytesData(data) && data.BYTES_PER_ELEMENT === elementBytes(datatype);
}

/** -1 in `declared` fits any size; a declared `[]` any shape. */
export function fitsShape(shape: readonly number[], declared: readonly number[]): boolean {
  if (declared.length === 0) return true;
  if (shape.length !== declared.length) return false;
  for (let i = 0; i < shape.length; i++) {
    if (declared[i] !== -1 && shape[i] !== declared[i]) return false;
  }
  return true;
}

interface DeclaredInput {
  readonly index: number;
  readonly metadata: TensorMetadata;
}

/** One look-up table per signature, for models with hundreds of inputs. */
const DECLARED = new WeakMap<Signature, ReadonlyMap<string, DeclaredInput>>();

function declaredInputs(signature: Signature): ReadonlyMap<string, DeclaredInput> {
  const known = DECLARED.get(signature);
  if (known !== undefined) return known;
  const table = new Map(signature.inputs.map((metadata, index) => [metadata.name, { index, metadata }]));
  DECLARED.set(signature, table);
  return table;
}

function refuseNames(what: 'Unexpected' | 'Missing', name: string, signature: Signature, modelName: string): ServingError {
  const expected = listNames(signature.inputs, 'inputs');
  return invalidRequest(`${what} input ${quoteName(name)} for model ${quoteName(modelName)}: expected ${expected}`);
}
