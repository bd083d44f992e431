import { invalidRequest, isServingError, ServingError } from '../core/errors.ts';
import type { InferResponse } from '../core/infer.ts';
import { runSteps, type Steps } from '../core/steps.ts';
import type { Parameters } from '../core/tensor.ts';
import { openObject, readTextField, refuseDuplicate, takeNull } from './json/fields.ts';
import { JsonReader } from './json/reader.ts';
import { skipValue } from './json/skip.ts';
import { checkUtf8 } from './json/utf8.ts';
import { splitBody } from './v2-header-length.ts';
import { readParameters } from './v2-json-parameters.ts';
import { completeTensors, readTensors, type TensorFields } from './v2-json-tensor.ts';

/** A server's answer is trusted this far. */
const MAX_DEPTH = 128;

/**
 * Decodes a server's answer, with raw tensors behind `headerLength` bytes of JSON when that is given. Takes KServe's nulls for absent fields.
 * Throws upstream_failed when it cannot be understood.
 */
export function decodeInferResponse(body: Uint8Array, headerLength?: number): InferResponse {
  try {
    return runSteps(decodeResponse(body, headerLength));
  } catch (thrown) {
    if (isServingError(thrown) && thrown.reason === 'invalid_request') throw new ServingError('upstream_failed', thrown.message, { cause: thrown });
    throw thrown;
  }
}

function* decodeResponse(body: Uint8Array, headerLength: number | undefined): Steps<InferResponse> {
  const { json, raw } = splitBody(body, headerLength, 'response');
  yield* checkUtf8(json, 'response body');
  const reader = new JsonReader(json, { what: 'response body', maxDepth: MAX_DEPTH });
  const texts: Record<'model_name' | 'model_version' | 'id', string | undefined> = { model_name: undefined, model_version: undefined, id: undefined };
  let parameters: Parameters | undefined;
  let outputs: readonly TensorFields[] | undefined;
  openObject(reader, 'response', 1);
  for (let key = reader.firstKey(); key !== undefined; key = reader.nextKey()) {
    switch (key) {
      case 'model_name':
      case 'model_version':
      case 'id':
        refuseDuplicate(texts[key], 'response', key);
        if (!takeNull(reader)) texts[key] = readTextField(reader, 'response', key);
        break;
      case 'parameters':
        refuseDuplicate(parameters, 'response', key);
        if (!takeNull(reader)) parameters = yield* readParameters(reader, 'response', 2);
        break;
      case 'outputs':
        refuseDuplicate(outputs, 'response', key);
        outputs = yield* readTensors(reader, 'output', 'response', 2);
        break;
      default:
        yield* skipValue(reader, 1);
    }
  }
  reader.expectEnd();
  if (outputs === undefined) throw invalidRequest('Cannot decode response: expected a field "outputs", got none');
  return {
    modelName: texts.model_name ?? '',
    ...(texts.model_version === undefined ? {} : { modelVersion: texts.model_version }),
    ...(texts.id === undefined ? {} : { id: texts.id }),
    ...(parameters === undefined ? {} : { parameters }),
    outputs: yield* completeTensors(outputs, raw, 'response'),
  };
}
