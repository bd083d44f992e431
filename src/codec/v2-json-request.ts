import { invalidRequest } from '../core/errors.ts';
import type { InferRequest, RequestedOutput } from '../core/infer.ts';
import type { Signature } from '../core/metadata.ts';
import type { Steps } from '../core/steps.ts';
import type { Parameters } from '../core/tensor.ts';
import { openList, openObject, quoteName, readTextField, refuseDuplicate, takeNull } from './json/fields.ts';
import { JsonReader } from './json/reader.ts';
import { skipValue } from './json/skip.ts';
import { checkUtf8 } from './json/utf8.ts';
import { splitBody } from './v2-header-length.ts';
import { readParameters } from './v2-json-parameters.ts';
import { decodePlainRequest } from './v2-json-plain.ts';
import { completeTensors, readTensors, type TensorFields } from './v2-json-tensor.ts';
import { decodeRawRequest } from './v2-raw-request.ts';

/** More outputs than any model has. */
const MAX_REQUESTED_OUTPUTS = 8192;

export interface DecodeInferOptions {
  readonly modelName: string;
  readonly modelVersion?: string;
  /** `Inference-Header-Content-Length` as `parseHeaderLength` gave it; absent when the body is JSON alone. */
  readonly headerLength?: number;
  /** Most lists and objects that may be open at once. */
  readonly maxDepth: number;
  /** The body is the request's alone: tensors may lie in it. Else they have memory of their own, and the body may be dropped. */
  readonly mayKeepBody?: boolean;
  /** The model's; needed only for Triton's raw form (header length 0: the body is the one input). */
  readonly signature?: Signature;
}

/**
 * Decodes a request in JSON (OIP "Inference Request JSON Object"), with raw tensors behind the JSON when a header length is given (binary tensor data
 * extension). Unknown fields are ignored, `null` stands for an absent optional field, datatypes
 * may be in lower case. When an input has both `data` and `binary_data_size`, `data` counts, as in KServe. Throws invalid_request only.
 */
export function* decodeInferRequest(body: Uint8Array, options: DecodeInferOptions): Steps<InferRequest> {
  const { modelName, modelVersion } = options;
  const plain = options.headerLength === undefined ? decodePlainRequest(body, options.maxDepth) : undefined;
  if (plain !== undefined) return modelVersion === undefined ? { modelName, ...plain } : { modelName, modelVersion, ...plain };
  const { json, raw } = splitBody(body, options.headerLength, 'request');
  if (options.headerLength === 0) return decodeRawRequest(body, options);
  yield* checkUtf8(json, 'request body');
  const reader = new JsonReader(json, { what: 'request body', maxDepth: options.maxDepth });
  const fields = yield* readRequest(reader);
  reader.expectEnd();
  if (fields.inputs === undefined) throw invalidRequest('Cannot decode request: expected a field "inputs", got none');
  return {
    modelName,
    ...(modelVersion === undefined ? {} : { modelVersion }),
    ...(fields.id === undefined ? {} : { id: fields.id }),
    ...(fields.parameters === undefined ? {} : { parameters: fields.parameters }),
    inputs: yield* completeTensors(fields.inputs, raw, 'request', options.mayKeepBody),
    ...(fields.outputs === undefined ? {} : { outputs: fields.outputs }),
  };
}

interface RequestFields {
  readonly id: string | undefined;
  readonly parameters: Parameters | undefined;
  readonly inputs: readonly TensorFields[] | undefined;
  readonly outputs: readonly RequestedOutput[] | undefined;
}

function* readRequest(reader: JsonReader): Steps<RequestFields> {
  let id: string | undefined;
  let parameters: Parameters | undefined;
  let inputs: readonly TensorFields[] | undefined;
  let outputs: readonly RequestedOutput[] | undefined;
  openObject(reader, 'request', 1);
  for (let key = reader.firstKey(); key !== undefined; key = reader.nextKey()) {
    switch (key) {
      case 'id':
        refuseDuplicate(id, 'request', key);
        if (!takeNull(reader)) id = readTextField(reader, 'request', key);
        break;
      case 'parameters':
        refuseDuplicate(parameters, 'request', key);
        if (!takeNull(reader)) parameters = yield* readParameters(reader, 'request', 2);
        break;
      case 'inputs':
        refuseDuplicate(inputs, 'request', key);
        inputs = yield* readTensors(reader, 'input', 'request', 2);
        break;
      case 'outputs':
        refuseDuplicate(outputs, 'request', key);
        if (!takeNull(reader)) outputs = yield* readRequestedOutputs(reader);
        break;
      default:
        yield* skipValue(reader, 1);
    }
  }
  return { id, parameters, inputs, outputs };
}

function* readRequestedOutputs(reader: JsonReader): Steps<RequestedOutput[]> {
  openList(reader, 'request', 'outputs', 2);
  const outputs: RequestedOutput[] = [];
  const names = new Set<string>();
  for (let more = reader.firstElement(); more; more = reader.nextElement()) {
    if (outputs.length === MAX_REQUESTED_OUTPUTS)
      throw invalidRequest(`Cannot decode request: expected at most ${MAX_REQUESTED_OUTPUTS} outputs, got more`);
    const output = yield* readRequestedOutput(reader, outputs.length);
    if (names.has(output.name)) throw invalidRequest(`Cannot decode request: expected output ${quoteName(output.name)} once, got it twice`);
    names.add(output.name);
    outputs.push(output);
    yield;
  }
  return outputs;
}

function* readRequestedOutput(reader: JsonReader, index: number): Steps<RequestedOutput> {
  let name: string | undefined;
  let parameters: Parameters | undefined;
  const what = `outputs[${index}]`;
  openObject(reader, what, 3);
  for (let key = reader.firstKey(); key !== undefined; key = reader.nextKey()) {
    if (key === 'name') {
      refuseDuplicate(name, what, key);
      name = readTextField(reader, what, key);
    } else if (key === 'parameters') {
      refuseDuplicate(parameters, what, key);
      if (!takeNull(reader)) parameters = yield* readParameters(reader, what, 4);
    } else yield* skipValue(reader, 3);
  }
  if (name === undefined) throw invalidRequest(`Cannot decode ${what}: expected a field "name", got none`);
  return { name, ...(parameters === undefined ? {} : { parameters }) };
}
