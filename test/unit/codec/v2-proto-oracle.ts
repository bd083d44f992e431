import { fileURLToPath } from 'node:url';
import { loadSync, type ServiceDefinition } from '@grpc/proto-loader';
import { DATATYPES, type Datatype } from '../../../src/core/datatype.ts';
import { dataLength, isBytesData, type Tensor } from '../../../src/core/tensor.ts';
import { bytesElement } from '../../../src/core/tensor-bytes.ts';

/** An independent implementation of the same .proto file. */
const service = loadSync(fileURLToPath(new URL('../../../protos/open_inference.proto', import.meta.url)), {
  keepCase: true,
  longs: String,
  defaults: true,
})['inference.GRPCInferenceService'] as ServiceDefinition;
const modelInfer = service['ModelInfer']!;
export const wireRequest = (message: object): Buffer => modelInfer.requestSerialize(message);
export const wireResponse = (message: object): Buffer => modelInfer.responseSerialize(message);
export const plainRequest = (bytes: Buffer): WireMessage => modelInfer.requestDeserialize(bytes) as unknown as WireMessage;
export const plainResponse = (bytes: Buffer): WireMessage => modelInfer.responseDeserialize(bytes) as unknown as WireMessage;

type WireContents = Record<string, readonly unknown[]>;
interface WireTensor {
  name: string;
  datatype: string;
  shape: string[];
  parameters: Record<string, Record<string, unknown>>;
  contents: WireContents | null;
}
export interface WireMessage {
  model_name: string;
  model_version: string;
  id: string;
  parameters: Record<string, Record<string, unknown>>;
  inputs: WireTensor[];
  outputs: WireTensor[];
  raw_input_contents: Buffer[];
  raw_output_contents: Buffer[];
}

export const FIELDS: Record<Datatype, string | undefined> = {
  BOOL: 'bool_contents',
  INT8: 'int_contents',
  INT16: 'int_contents',
  INT32: 'int_contents',
  INT64: 'int64_contents',
  UINT8: 'uint_contents',
  UINT16: 'uint_contents',
  UINT32: 'uint_contents',
  UINT64: 'uint64_contents',
  FP32: 'fp32_contents',
  FP64: 'fp64_contents',
  BYTES: 'bytes_contents',
  FP16: undefined,
  BF16: undefined,
};
export const TYPED = DATATYPES.filter((datatype) => FIELDS[datatype] !== undefined);

/** Elements as protobufjs takes and gives them: strings for 64-bit integers. */
export function plainElements(tensor: Tensor): unknown[] {
  const { data } = tensor;
  if (isBytesData(data)) return Array.from({ length: dataLength(data) }, (_, index) => Buffer.from(bytesElement(data, index)));
  if (tensor.datatype === 'BOOL') return Array.from(data as Uint8Array, (value) => value !== 0);
  return Array.from(data as ArrayLike<number | bigint>, (value) => (typeof value === 'bigint' ? value.toString() : value));
}

export function fp32(name: string, values: readonly number[]): Tensor {
  return { name, datatype: 'FP32', shape: [values.length], data: new Float32Array(values) };
}

/** A request of one input "x" whose contents are given as bytes. */
export function handwritten({ datatype, shape, contents }: { datatype: string; shape: readonly number[]; contents: Buffer }): Buffer {
  const input = wireRequest({ inputs: [{ name: 'x', datatype, shape }] }).subarray(2);
  const whole = Buffer.concat([input, Buffer.from([0x2a, contents.length]), contents]);
  return Buffer.concat([wireRequest({ model_name: 'm' }), Buffer.from([0x2a, whole.length]), whole]);
}
