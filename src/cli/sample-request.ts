import type { Datatype } from '../core/datatype.ts';
import type { TensorMetadata } from '../core/metadata.ts';
import { elementCount } from '../core/tensor.ts';

/** An input of a request that the model should take: every dimension that varies is 1, every element the same. */
export interface SampleInput {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  readonly element: number | boolean | string;
  /** Product of `shape`. */
  readonly count: number;
}

export function sampleInputs(inputs: readonly TensorMetadata[]): readonly SampleInput[] {
  return inputs.map(({ name, datatype, shape }) => {
    const concrete = shape.map((dimension) => (dimension < 0 ? 1 : dimension));
    return { name, datatype, shape: concrete, element: sampleElement(datatype), count: elementCount(concrete, `input "${name}"`) };
  });
}

/** Zero is in the range of every number, of every index and of every vocabulary. */
function sampleElement(datatype: Datatype): SampleInput['element'] {
  if (datatype === 'BYTES') return 'text';
  return datatype === 'BOOL' ? false : 0;
}

/** Most elements that are written out; more of them are left to a line of JavaScript. */
const MAX_WRITTEN_ELEMENTS = 1000;

/** The body of an inference request (OIP "Inference Request JSON Object"), or undefined when it would be too long to read. */
export function sampleBody(inputs: readonly SampleInput[]): string | undefined {
  if (!isShort(inputs)) return undefined;
  return JSON.stringify({
    inputs: inputs.map(({ name, datatype, shape, element, count }) => ({ name, datatype, shape, data: new Array(count).fill(element) })),
  });
}

/** One shell line that sends the sample; pasted into a shell it works as it is. `baseUrl` without a slash at its end. */
export function sampleCurl(baseUrl: string, modelName: string, inputs: readonly SampleInput[]): string {
  const url = shellQuote(`${baseUrl}/v2/models/${encodeURIComponent(modelName)}/infer`);
  const post = `curl -s ${url} -H 'Content-Type: application/json' -d`;
  const body = sampleBody(inputs);
  return body === undefined ? `node -p ${shellQuote(bodyScript(inputs))} | ${post} @-` : `${post} ${shellQuote(body)}`;
}

function isShort(inputs: readonly SampleInput[]): boolean {
  return inputs.reduce((sum, input) => sum + input.count, 0) <= MAX_WRITTEN_ELEMENTS;
}

function bodyScript(inputs: readonly SampleInput[]): string {
  const tensors = inputs.map(({ name, datatype, shape, element, count }) => {
    const head = JSON.stringify({ name, datatype, shape });
    return `{...${head},data:Array(${count}).fill(${JSON.stringify(element)})}`;
  });
  return `JSON.stringify({inputs:[${tensors.join(',')}]})`;
}

/** Bare where a shell reads it as it stands, else in single quotes. */
function shellQuote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
