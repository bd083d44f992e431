import type { InferRequest, InferResponse, RequestedOutput } from '../core/infer.ts';
import { runSteps, type Steps } from '../core/steps.ts';
import { createParameters, type Parameters, type Tensor } from '../core/tensor.ts';
import type { EncodedBody } from './encoded-body.ts';
import { JsonWriter } from './json/writer.ts';
import { FieldWriter, finishBody, writeParameters, writeTensors } from './v2-json-write.ts';

/**
 * Encodes a response in JSON (OIP "Inference Response JSON Object"), with raw tensors behind the JSON where the request asked for them. Absent fields are left
 * out, data is flat. The chunks may be views of the outputs' memory, which must stay as it is until they are written.
 *
 * Which outputs are binary follows KServe: when the request lists outputs, each says so itself (`parameters.binary_data`) and the request's own
 * `binary_data_output` counts for nothing; else that decides for all. (Triton takes the request's as the default of the listed ones; its clients never send
 * both, so they work with either rule.)
 *
 * Throws invalid_request when a BYTES output that is to be JSON is not UTF-8.
 */
export function* encodeInferResponse(response: InferResponse, request: InferRequest): Steps<EncodedBody> {
  const binary = binaryOutputs(response, request);
  const writer = new JsonWriter();
  const fields = new FieldWriter(writer);
  fields.text('model_name', response.modelName);
  fields.text('model_version', response.modelVersion);
  fields.text('id', response.id);
  fields.parameters(response.parameters);
  yield* writeTensors(fields.name('outputs'), 'output', response.outputs, binary);
  fields.close();
  return finishBody(writer, binary);
}

/**
 * Encodes a request for a server. `binary` sends all inputs as raw bytes; `binaryOutputs` asks for all outputs as raw bytes, in the way that every server
 * understands: per output when the request lists outputs, else for the whole. Throws invalid_request when a BYTES input that is to be JSON is not UTF-8.
 */
export function encodeInferRequest(request: InferRequest, options: { readonly binary: boolean; readonly binaryOutputs: boolean }): EncodedBody {
  return runSteps(encodeRequest(request, options));
}

function* encodeRequest(request: InferRequest, options: { readonly binary: boolean; readonly binaryOutputs: boolean }): Steps<EncodedBody> {
  const binary: ReadonlySet<Tensor> = new Set(options.binary ? request.inputs : []);
  const outputs = request.outputs ?? [];
  const asksForAll = options.binaryOutputs && outputs.length === 0;
  const writer = new JsonWriter();
  const fields = new FieldWriter(writer);
  fields.text('id', request.id);
  fields.parameters(asksForAll ? withParameter(request.parameters, 'binary_data_output') : request.parameters);
  yield* writeTensors(fields.name('inputs'), 'input', request.inputs, binary);
  if (request.outputs !== undefined) writeRequestedOutputs(fields.name('outputs'), outputs, options.binaryOutputs);
  fields.close();
  return finishBody(writer, binary);
}

function writeRequestedOutputs(writer: JsonWriter, outputs: readonly RequestedOutput[], asksForBinary: boolean): void {
  writer.ascii('[');
  let isFirst = true;
  for (const { name, parameters } of outputs) {
    if (!isFirst) writer.ascii(',');
    isFirst = false;
    const fields = new FieldWriter(writer);
    fields.text('name', name);
    const sent = asksForBinary ? withParameter(parameters, 'binary_data') : parameters;
    if (sent !== undefined) writeParameters(fields.name('parameters'), sent);
    fields.close();
  }
  writer.ascii(']');
}

function binaryOutputs(response: InferResponse, request: InferRequest): ReadonlySet<Tensor> {
  const requested = request.outputs ?? [];
  if (requested.length === 0) return new Set(request.parameters?.['binary_data_output'] === true ? response.outputs : []);
  const names = new Set<string>();
  for (const { name, parameters } of requested) if (parameters?.['binary_data'] === true) names.add(name);
  return new Set(response.outputs.filter(({ name }) => names.has(name)));
}

function withParameter(parameters: Parameters | undefined, name: string): Parameters {
  return createParameters([...Object.entries(parameters ?? {}), [name, true]]);
}
