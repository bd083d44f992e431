import { allocateData, isBytesData, type FixedSizeData, type Tensor } from '../../core/tensor.ts';
import { addressOf, Handles, type NativeWords, type Pointer } from '../native/index.ts';
import { elementOfDatatype } from './element-types.ts';
import type { OrtRuntime } from './ort-runtime.ts';

/** Most bytes of all tensors that a run keeps for the next: beyond it the copies cost more than the calls they spare. */
const MAX_KEPT_BYTES = 16 * 1024;

interface Kept {
  readonly name: string;
  readonly datatype: Tensor['datatype'];
  readonly shape: readonly number[];
  readonly data: FixedSizeData;
}

/** True when tensors of these sizes can be kept: small, of a fixed size, and none of them empty. */
export function canKeep(inputs: readonly Tensor[], outputs: readonly Tensor[]): boolean {
  let bytes = 0;
  for (const list of [inputs, outputs]) {
    for (const { data } of list) {
      if (isBytesData(data) || data.byteLength === 0) return false;
      bytes += data.byteLength;
    }
  }
  return bytes <= MAX_KEPT_BYTES;
}

/** True when both are the same tensors but for their values. */
export function isAlike(a: readonly Omit<Tensor, 'data'>[], b: readonly Omit<Tensor, 'data'>[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) {
    const one = a[i];
    const other = b[i];
    if (one?.name !== other?.name || one === undefined || one.datatype !== other?.datatype) return false;
    const { shape } = one;
    if (shape.length !== other.shape.length) return false;
    for (let axis = 0; axis < shape.length; axis++) if (shape[axis] !== other.shape[axis]) return false;
  }
  return true;
}

/**
 * Native tensors over memory of ours that serve one run after the other, as long as inputs and outputs have the same sizes. Making them, asking for the
 * outputs' sizes and giving all of it back takes some twenty calls into the library, which for a small model cost more than its run.
 */
export class KeptTensors {
  readonly #handles = new Handles();
  readonly #inputs: readonly Kept[];
  readonly #outputs: readonly Kept[];

  /**
   * `inputs` and `outputs` of an earlier run give names and sizes. Writes pointers to the values where `frame` has them:
   *
   *     frame | input names | input values | output names | output values |
   */
  constructor(runtime: OrtRuntime, inputs: readonly Tensor[], outputs: readonly Tensor[], frame: NativeWords) {
    const firstOutput = 2 * inputs.length + outputs.length;
    try {
      this.#inputs = inputs.map((tensor, index) => this.#keep(runtime, tensor, frame, inputs.length + index));
      this.#outputs = outputs.map((tensor, index) => this.#keep(runtime, tensor, frame, firstOutput + index));
    } catch (thrown) {
      this.release();
      throw thrown;
    }
  }

  get outputCount(): number {
    return this.#outputs.length;
  }

  /** True when a run of `inputs` that computes `wanted` can use them. */
  fits(inputs: readonly Tensor[], wanted: readonly { readonly metadata: { readonly name: string } }[]): boolean {
    const outputs = this.#outputs;
    if (outputs.length !== wanted.length || !isAlike(this.#inputs, inputs)) return false;
    for (let i = 0; i < wanted.length; i++) if (wanted[i]?.metadata.name !== outputs[i]?.name) return false;
    for (let i = 0; i < inputs.length; i++) {
      const data = inputs[i]?.data;
      if (data === undefined || isBytesData(data) || data.byteLength !== this.#inputs[i]?.data.byteLength) return false;
    }
    return true;
  }

  /** Copies the values of `inputs`, which fit. */
  write(inputs: readonly Tensor[]): void {
    for (let i = 0; i < inputs.length; i++) {
      const data = inputs[i]?.data;
      if (data !== undefined && !isBytesData(data)) this.#inputs[i]?.data.set(data as never);
    }
  }

  /** What the last run computed, in arrays of their own. */
  read(): Tensor[] {
    return this.#outputs.map(({ name, datatype, shape, data }) => ({ name, datatype, shape, data: data.slice() }));
  }

  release(): void {
    this.#handles.releaseAll();
  }

  #keep(runtime: OrtRuntime, { name, datatype, shape, data }: Tensor, frame: NativeWords, at: number): Kept {
    if (datatype === 'BYTES' || isBytesData(data)) throw new TypeError(`Cannot keep tensor "${name}": its size varies`);
    const kept = allocateData(datatype, data.length);
    const { api } = runtime;
    const value: Pointer = runtime.create(this.#handles, api.ReleaseValue, (out) =>
      api.CreateTensorWithDataAsOrtValue(
        runtime.cpuMemory,
        addressOf(kept),
        kept.byteLength,
        runtime.shape(shape),
        shape.length,
        elementOfDatatype(datatype),
        out,
      ),
    );
    frame.unsigned[at] = value;
    return { name, datatype, shape: [...shape], data: kept };
  }
}
