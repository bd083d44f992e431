import { join } from 'node:path';
import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { ERROR_TABLE } from '../../../src/core/errors.ts';
import { fromRaw, toRaw, type Outcome, type PlainTensor, type Value, type Wire } from './wire.ts';

const PROTO = join(import.meta.dirname, '../../../protos/open_inference.proto');

interface GrpcContents {
  readonly bool_contents: boolean[];
  readonly int_contents: number[];
  readonly int64_contents: string[];
  readonly uint_contents: number[];
  readonly uint64_contents: string[];
  readonly fp32_contents: number[];
  readonly fp64_contents: number[];
  readonly bytes_contents: Buffer[];
}

interface GrpcResponse {
  readonly model_name: string;
  readonly model_version: string;
  readonly id: string;
  readonly outputs: readonly { name: string; datatype: string; shape: string[]; contents: GrpcContents | null }[];
  readonly raw_output_contents: Buffer[];
}

type Unary = (
  request: unknown,
  metadata: grpc.Metadata,
  callback: (error: grpc.ServiceError | null, response: GrpcResponse) => void,
) => grpc.ClientUnaryCall;

/** The typed field that carries a datatype (OIP, InferTensorContents). */
function fieldOf(datatype: string): keyof GrpcContents {
  if (datatype === 'BOOL') return 'bool_contents';
  if (datatype === 'INT64') return 'int64_contents';
  if (datatype === 'UINT64') return 'uint64_contents';
  if (datatype.startsWith('INT')) return 'int_contents';
  if (datatype.startsWith('UINT')) return 'uint_contents';
  if (datatype === 'FP64') return 'fp64_contents';
  return datatype === 'BYTES' ? 'bytes_contents' : 'fp32_contents';
}

function parameter(value: string | number | boolean): object {
  if (typeof value === 'string') return { string_param: value };
  if (typeof value === 'boolean') return { bool_param: value };
  return Number.isInteger(value) ? { int64_param: String(value) } : { double_param: value };
}

function toTyped(value: Value): unknown {
  if (typeof value === 'bigint') return value.toString();
  return typeof value === 'string' ? Buffer.from(value) : value;
}

function fromTyped(datatype: string, value: unknown): Value {
  return datatype === 'INT64' || datatype === 'UINT64' ? BigInt(value as string) : (value as Value);
}

export function grpcWire(address: string, form: 'typed' | 'raw'): Wire {
  const definition = loadSync(PROTO, { keepCase: true, longs: String, defaults: true, oneofs: true });
  const { inference } = grpc.loadPackageDefinition(definition) as unknown as { inference: { GRPCInferenceService: grpc.ServiceClientConstructor } };
  const client = new inference.GRPCInferenceService(address, grpc.credentials.createInsecure(), { 'grpc.max_receive_message_length': -1 });
  const modelInfer = (client as unknown as { ModelInfer: Unary }).ModelInfer.bind(client);
  return {
    name: `gRPC ${form}`,
    statusOf: (reason) => ERROR_TABLE[reason].grpc ?? 'none',
    close: () => {
      client.close();
    },
    infer: ({ model, version, id, inputs, outputs, parameters, verb, headers = {} }) =>
      new Promise<Outcome>((resolve) => {
        const message = {
          model_name: model,
          model_version: version ?? '',
          id: id ?? '',
          parameters: Object.fromEntries(
            Object.entries({ ...parameters, ...(verb === 'explain' ? { explain: true } : {}) }).map(([key, value]) => [key, parameter(value)]),
          ),
          inputs: inputs.map(({ name, datatype, shape, values }) => ({
            name,
            datatype,
            shape,
            ...(form === 'typed' ? { contents: { [fieldOf(datatype)]: values.map(toTyped) } } : {}),
          })),
          outputs: (outputs ?? []).map((name) => ({ name })),
          ...(form === 'raw' ? { raw_input_contents: inputs.map(toRaw) } : {}),
        };
        const metadata = new grpc.Metadata();
        for (const [key, value] of Object.entries(headers)) metadata.set(key, value);
        let initial: Record<string, string> = {};
        const call = modelInfer(message, metadata, (error, response) => {
          if (error) {
            resolve({ ok: false, status: grpc.status[error.code], message: error.details });
            return;
          }
          const raws = response.raw_output_contents;
          resolve({
            ok: true,
            response: {
              model: response.model_name,
              version: response.model_version,
              id: response.id === '' ? undefined : response.id,
              outputs: response.outputs.map(({ name, datatype, shape, contents }, i): PlainTensor => {
                const raw = raws[i];
                const values = raw ? fromRaw(datatype, raw) : (contents?.[fieldOf(datatype)] ?? []).map((value) => fromTyped(datatype, value));
                return { name, datatype, shape: shape.map(Number), values };
              }),
              headers: initial,
            },
          });
        });
        call.on('metadata', (received: grpc.Metadata) => {
          initial = Object.fromEntries(Object.entries(received.getMap()).map(([key, value]) => [key, value.toString()]));
        });
      }),
  };
}
