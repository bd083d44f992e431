import { invalidRequest } from '../core/errors.ts';
import type { Steps } from '../core/steps.ts';
import { tensorToBytes } from '../core/tensor-bytes.ts';
import { dataByteLength, dataLength, type ParameterValue, type Parameters, type Tensor } from '../core/tensor.ts';
import { BINARY_CONTENT_TYPE, JSON_CONTENT_TYPE, type EncodedBody } from './encoded-body.ts';
import { quoteName } from './json/fields.ts';
import type { JsonWriter } from './json/writer.ts';
import { writeElements } from './tensor-json-write.ts';

/** Writes fields with commas between them; `isFirst` holds for the object just opened. */
export class FieldWriter {
  readonly writer: JsonWriter;
  #isFirst = true;

  constructor(writer: JsonWriter) {
    this.writer = writer;
    writer.ascii('{');
  }

  /** Writes `"name":`; the value follows. `name` is ASCII that needs no escapes. */
  name(name: string): JsonWriter {
    this.writer.ascii(this.#isFirst ? `"${name}":` : `,"${name}":`);
    this.#isFirst = false;
    return this.writer;
  }

  text(name: string, value: string | undefined): void {
    if (value !== undefined) this.name(name).string(value);
  }

  parameters(value: Parameters | undefined): void {
    if (value !== undefined) writeParameters(this.name('parameters'), value);
  }

  close(): void {
    this.writer.ascii('}');
  }
}

/** Writes a list of tensors: those in `binary` with `binary_data_size` instead of `data`. */
export function* writeTensors(writer: JsonWriter, role: 'input' | 'output', tensors: readonly Tensor[], binary: ReadonlySet<Tensor>): Steps<void> {
  writer.ascii('[');
  let isFirst = true;
  for (const tensor of tensors) {
    if (!isFirst) writer.ascii(',');
    isFirst = false;
    const fields = new FieldWriter(writer);
    fields.text('name', tensor.name);
    fields.text('datatype', tensor.datatype);
    fields.name('shape').ascii(JSON.stringify(tensor.shape));
    if (binary.has(tensor)) writeParameters(fields.name('parameters'), { ...tensor.parameters, binary_data_size: dataByteLength(tensor.data) });
    else {
      fields.parameters(tensor.parameters);
      fields.name('data').ascii('[');
      yield* writeElements(writer, tensor, 0, dataLength(tensor.data), (_writer, _bytes, index) => {
        throw invalidRequest(
          `Cannot encode ${role} ${quoteName(tensor.name)} as JSON: expected UTF-8 in element ${index}, got other bytes; ` +
            (role === 'output' ? 'ask for the output in binary form ("binary_data": true)' : 'send it in binary form'),
        );
      });
      writer.ascii(']');
    }
    fields.close();
  }
  writer.ascii(']');
}

/** The document, and behind it the raw bytes of the binary tensors: views of the tensors' own memory. */
export function finishBody(writer: JsonWriter, binary: ReadonlySet<Tensor>): EncodedBody {
  const headerLength = writer.length;
  const chunks = writer.finish();
  if (binary.size === 0) return { contentType: JSON_CONTENT_TYPE, chunks };
  for (const tensor of binary) {
    const bytes = tensorToBytes(tensor.data);
    if (bytes.length > 0) chunks.push(bytes);
  }
  return { contentType: BINARY_CONTENT_TYPE, headerLength, chunks };
}

export function writeParameters(writer: JsonWriter, parameters: Parameters): void {
  let separator = '{';
  for (const [key, value] of Object.entries(parameters)) {
    writer.ascii(separator);
    separator = ',';
    writer.string(key);
    writer.ascii(':');
    writeParameterValue(writer, value);
  }
  writer.ascii(separator === '{' ? '{}' : '}');
}

function writeParameterValue(writer: JsonWriter, value: ParameterValue): void {
  if (typeof value === 'string') writer.string(value);
  else if (typeof value === 'number') writer.number(value);
  else writer.ascii(String(value));
}
