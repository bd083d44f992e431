import { isBigIntDatatype, type Datatype } from '../core/datatype.ts';
import { bfloat16ToNumber, float16ToNumber } from '../core/float16.ts';
import type { Body, InferResponse } from '../core/infer.ts';
import { bytesElement, stringsFromBytes } from '../core/tensor-bytes.ts';
import { isBytesData, type BytesData, type DataOf, type FixedSizeData, type Parameters, type Tensor } from '../core/tensor.ts';
import { invalidResponse, messageOf } from './inference-error.ts';

/** What a model answered. Readers check name and datatype and throw InferenceError `invalid_response` naming what there is. */
export class InferenceResponse implements InferResponse {
  readonly modelName: string;
  // Declared only: what the server left out is not there at all, rather than there and undefined.
  declare readonly modelVersion?: string;
  declare readonly id?: string;
  declare readonly parameters?: Parameters;
  /** Empty when there is a body. */
  readonly outputs: readonly Tensor[];
  /** What came instead of tensors. */
  declare readonly body?: Body;
  /** HTTP headers or gRPC metadata of the answer, names in lower case; values of one name are joined with commas. */
  declare readonly headers?: Readonly<Record<string, string>>;

  constructor(response: InferResponse) {
    this.modelName = response.modelName;
    this.outputs = response.outputs;
    if (response.modelVersion !== undefined) this.modelVersion = response.modelVersion;
    if (response.id !== undefined) this.id = response.id;
    if (response.parameters !== undefined) this.parameters = response.parameters;
    if (response.body !== undefined) this.body = response.body;
    if (response.headers !== undefined) this.headers = response.headers;
  }

  /** Name, datatype, shape and data of an output whose datatype is not known beforehand. */
  tensor(name: string): Tensor {
    const found = this.outputs.find((output) => output.name === name);
    if (found === undefined) throw invalidResponse(`Cannot read output "${name}": the response of model "${this.modelName}" has ${this.#names()}`);
    return found;
  }

  /** Elements in row-major order: FP32 as Float32Array, INT64 as BigInt64Array, FP16 and BF16 as their bits, BOOL as bytes of 0 and 1. */
  output<D extends Datatype>(name: string, datatype: D): DataOf[D] {
    const { datatype: got, data } = this.tensor(name);
    if (got !== datatype) throw invalidResponse(`Cannot read output "${name}" as ${datatype}: it is ${got}`);
    return data as DataOf[D];
  }

  /** Elements of a numeric output other than INT64 and UINT64 as numbers, FP16 and BF16 converted. */
  numbers(name: string): number[] {
    const { datatype, data } = this.tensor(name);
    if (isBytesData(data) || isBigIntDatatype(datatype) || datatype === 'BOOL') {
      throw invalidResponse(`Cannot read output "${name}" as numbers: it is ${datatype}`);
    }
    if (datatype === 'FP16') return Array.from(data as Uint16Array, float16ToNumber);
    if (datatype === 'BF16') return Array.from(data as Uint16Array, bfloat16ToNumber);
    return Array.from(data as Exclude<FixedSizeData, BigInt64Array | BigUint64Array>);
  }

  /** Elements of a BYTES output as text; throws when one is not UTF-8. */
  strings(name: string): string[] {
    const data = this.#bytesData(name, 'strings');
    try {
      return stringsFromBytes(data);
    } catch (thrown) {
      throw invalidResponse(`Cannot read output "${name}" as strings: ${messageOf(thrown)}`, { cause: thrown });
    }
  }

  /** Elements of a BYTES output as they are, views of the response's memory. */
  bytes(name: string): Uint8Array[] {
    const data = this.#bytesData(name, 'bytes');
    return Array.from({ length: data.offsets.length - 1 }, (_, index) => bytesElement(data, index));
  }

  #bytesData(name: string, wanted: string): BytesData {
    const { datatype, data } = this.tensor(name);
    if (!isBytesData(data)) throw invalidResponse(`Cannot read output "${name}" as ${wanted}: it is ${datatype}`);
    return data;
  }

  #names(): string {
    if (this.body !== undefined) return `a body of ${this.body.contentType}`;
    return this.outputs.length === 0 ? 'no outputs' : this.outputs.map((output) => `"${output.name}"`).join(', ');
  }
}
