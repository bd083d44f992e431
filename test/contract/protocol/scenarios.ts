import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ErrorReason } from '../../../src/core/errors.ts';
import type { PlainBody, PlainRequest, PlainTensor, Value } from './wire.ts';

export type WireName = 'v2 JSON' | 'v2 binary' | 'gRPC typed' | 'gRPC raw' | 'v1';

export interface Scenario {
  readonly name: string;
  readonly request: PlainRequest;
  /** The outputs that must come back, in this order. */
  readonly outputs?: readonly PlainTensor[];
  /** The handler's own body that must come back instead. */
  readonly body?: PlainBody;
  /** Headers or metadata that must come back, among others. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Outputs are compared bit for bit; otherwise floats within 1e-5 + 1e-4 of the value. */
  readonly isExact?: true;
  /** Fails with this reason and a message that matches. */
  readonly fails?: readonly [ErrorReason, RegExp];
  /** Echoed in the response. */
  readonly id?: string;
  /** Wires that cannot carry the request, with the reason why. */
  readonly cannotCarry?: Readonly<Partial<Record<WireName, string>>>;
  /** Wires whose protocol makes the answer differ: reason and message there. */
  readonly differs?: Readonly<Partial<Record<WireName, readonly [ErrorReason, RegExp]>>>;
}

interface VectorTensor {
  readonly name: string;
  readonly datatype: string;
  readonly shape: number[];
  readonly data: (number | string | boolean)[];
}

const FIXTURES = join(import.meta.dirname, '../../fixtures/models');

/** Reference case of a golden model, as plain values. */
export function vector(model: string, name: string): { inputs: PlainTensor[]; outputs: PlainTensor[] } {
  const { cases } = JSON.parse(readFileSync(join(FIXTURES, model, 'vectors.json'), 'utf8')) as {
    cases: { name: string; inputs: VectorTensor[]; outputs: VectorTensor[] }[];
  };
  const found = cases.find((candidate) => candidate.name === name);
  if (!found) throw new Error(`no case ${name} of ${model}; there are ${cases.map((candidate) => candidate.name).join(', ')}`);
  const plain = ({ name: tensor, datatype, shape, data }: VectorTensor): PlainTensor => ({
    name: tensor,
    datatype,
    shape,
    values: data.map((value) => plainValue(datatype, value)),
  });
  return { inputs: found.inputs.map(plain), outputs: found.outputs.map(plain) };
}

function plainValue(datatype: string, value: number | string | boolean): Value {
  if (datatype === 'INT64' || datatype === 'UINT64') return BigInt(value);
  if (datatype === 'BYTES') return Buffer.from(String(value));
  if (datatype === 'BOOL') return Boolean(value);
  if (datatype === 'FP32') return Math.fround(Number(value));
  return Number(value);
}

const v1Only = (what: string): Readonly<Partial<Record<WireName, string>>> => ({ v1: `v1 has no ${what}` });
const NO_TYPES = v1Only('datatypes and shapes in its requests');
const JSON_TEXT = { 'v2 JSON': 'JSON strings are text, arbitrary bytes need the binary form' } as const;
const HALF = { 'gRPC typed': ['invalid_request', /raw_input_contents/] } as const;

const pixels = (rows: number, fill = 0.5): PlainTensor => ({
  name: 'input',
  datatype: 'FP32',
  shape: [rows, 64],
  values: Array.from({ length: rows * 64 }, () => Math.fround(fill)),
});
const digits = (input: Partial<PlainTensor> = {}, rest: Partial<PlainRequest> = {}): PlainRequest => ({
  model: 'digits',
  inputs: [{ ...pixels(1), ...input }],
  ...rest,
});

const one = vector('digits-mlp', 'one');
const batch = vector('digits-mlp', 'batch-20');
const label = (outputs: readonly PlainTensor[]): PlainTensor[] => outputs.filter(({ name }) => name === 'label');
const probabilities = (outputs: readonly PlainTensor[]): PlainTensor[] => outputs.filter(({ name }) => name === 'probabilities');

/** A row of four values through the identity model of their datatype. */
function identity(datatype: string, values: readonly Value[]): { request: PlainRequest; outputs: PlainTensor[]; isExact: true } {
  const name = datatype.toLowerCase();
  const tensor = { datatype, shape: [1, 4], values };
  return {
    request: { model: `identity-${name}`, inputs: [{ name: 'x', ...tensor }] },
    outputs: [{ name: 'y', ...tensor }],
    isExact: true,
  };
}

const INT_EXTREMES: readonly (readonly [string, readonly Value[]])[] = [
  ['INT8', [-128, 127, 0, -1]],
  ['INT16', [-32768, 32767, 0, -1]],
  ['INT32', [-2147483648, 2147483647, 0, -1]],
  ['INT64', [-9223372036854775808n, 9223372036854775807n, 9007199254740993n, -1n]],
  ['UINT8', [0, 255, 1, 2]],
  ['UINT16', [0, 65535, 1, 2]],
  ['UINT32', [0, 4294967295, 1, 2]],
  ['UINT64', [0n, 18446744073709551615n, 9007199254740993n, 1n]],
];

const OUT_OF_RANGE: readonly (readonly [string, Value])[] = [
  ['INT8', 128],
  ['INT16', -32769],
  ['UINT8', 256],
  ['UINT16', -1],
];

const identities: Scenario[] = [
  ...INT_EXTREMES.map(([datatype, values]): Scenario => ({ name: `${datatype} extremes come back exact`, ...identity(datatype, values) })),
  {
    name: 'FP32 extremes, -0 and subnormals come back exact',
    ...identity('FP32', [3.4028234663852886e38, -0, 1.401298464324817e-45, Math.fround(0.1)]),
  },
  { name: 'FP64 extremes and 17 digits come back exact', ...identity('FP64', [1.7976931348623157e308, -0, 5e-324, 0.1 + 0.2]) },
  { name: 'FP32 NaN and infinities come back', ...identity('FP32', [NaN, Infinity, -Infinity, 1]) },
  { name: 'FP64 NaN and infinities come back', ...identity('FP64', [NaN, Infinity, -Infinity, 1]) },
  { name: 'FP16 extremes and subnormals come back exact', ...identity('FP16', [65504, -0.5, 5.960464477539063e-8, 1.0009765625]), differs: HALF },
  { name: 'BF16 values come back exact', ...identity('BF16', [1, -2.5, 3.3895313892515355e38, 0.0078125]), differs: HALF },
  { name: 'BOOL comes back', ...identity('BOOL', [true, false, false, true]) },
  {
    name: 'BYTES with unicode, empty text and a NUL come back',
    ...identity(
      'BYTES',
      ['', 'Grüße', 'a\u0000b', '😀'].map((text) => Buffer.from(text)),
    ),
  },
  {
    name: 'BYTES that are not UTF-8 come back exact',
    ...identity('BYTES', [Buffer.from([0xff, 0xfe]), Buffer.from([0]), Buffer.from([0xc3]), Buffer.from('ok')]),
    cannotCarry: { ...JSON_TEXT, v1: 'v1 answers are JSON text, which holds UTF-8 only' },
  },
  ...OUT_OF_RANGE.map(([datatype, value]): Scenario => ({
    name: `${datatype} value ${String(value)} out of range is refused, never wrapped`,
    request: identity(datatype, [0, 0, value, 0]).request,
    fails: ['invalid_request', new RegExp(`"x".*${String(value)}`)],
    cannotCarry: {
      'v2 binary': 'raw bytes cannot hold it',
      'gRPC raw': 'raw bytes cannot hold it',
      ...(datatype === 'UINT16' ? { 'gRPC typed': 'uint32 cannot hold it' } : {}),
    },
  })),
  {
    name: 'INT64 beyond its range is refused',
    request: identity('INT64', [0n, 9223372036854775808n, 0n, 0n]).request,
    fails: ['invalid_request', /"x".*9223372036854775808/],
    cannotCarry: { 'v2 binary': 'raw bytes cannot hold it', 'gRPC raw': 'raw bytes cannot hold it', 'gRPC typed': 'int64 cannot hold it' },
  },
  {
    name: 'a fraction for an integer is refused',
    request: identity('INT32', [0, 1.5, 0, 0]).request,
    fails: ['invalid_request', /"x".*1\.5/],
    cannotCarry: { 'v2 binary': 'raw bytes cannot hold it', 'gRPC raw': 'raw bytes cannot hold it', 'gRPC typed': 'int32 cannot hold it' },
  },
];

const answers: Scenario[] = [
  { name: 'one image is classified', request: { model: 'digits', inputs: one.inputs }, outputs: one.outputs },
  { name: 'twenty images are classified', request: { model: 'digits', inputs: batch.inputs }, outputs: batch.outputs },
  {
    name: 'NaN pixels give NaN probabilities',
    request: { model: 'digits', inputs: vector('digits-mlp', 'nan').inputs },
    outputs: vector('digits-mlp', 'nan').outputs,
  },
  {
    name: 'an empty batch gives an empty answer',
    request: { model: 'digits', inputs: vector('digits-mlp', 'empty-batch').inputs },
    outputs: vector('digits-mlp', 'empty-batch').outputs,
    cannotCarry: { v1: 'an empty list of instances has no columns to read back' },
  },
  {
    name: 'the id is echoed',
    request: { model: 'digits', id: 'abc-1 ü', inputs: one.inputs },
    outputs: one.outputs,
    id: 'abc-1 ü',
    cannotCarry: v1Only('ids'),
  },
  {
    name: 'only the requested output comes back',
    request: { model: 'digits', inputs: one.inputs, outputs: ['label'] },
    outputs: label(one.outputs),
    cannotCarry: v1Only('requested outputs'),
  },
  {
    name: 'outputs come back in the requested order',
    request: { model: 'digits', inputs: one.inputs, outputs: ['probabilities', 'label'] },
    outputs: [...probabilities(one.outputs), ...label(one.outputs)],
    cannotCarry: v1Only('requested outputs'),
  },
  {
    name: 'the version that is served can be named',
    request: { model: 'digits', version: '1', inputs: one.inputs },
    outputs: one.outputs,
    cannotCarry: v1Only('versions'),
  },
  {
    name: 'unknown parameters of all kinds do no harm',
    request: { model: 'digits', inputs: one.inputs, parameters: { text: 'a', whole: 7, fraction: 0.5, flag: true, constructor: 'x' } },
    outputs: one.outputs,
    cannotCarry: v1Only('parameters'),
  },
  {
    name: 'a timeout that is long enough changes nothing',
    request: { model: 'digits', inputs: one.inputs, parameters: { timeout: 30_000_000 } },
    outputs: one.outputs,
    cannotCarry: v1Only('parameters'),
  },
  ...['bert-tiny', 'torch-gru', 'iris-string-labels', 'tf-dense', 'iris-zipmap-columns', 'vae-digits'].map((model): Scenario => {
    const { cases } = JSON.parse(readFileSync(join(FIXTURES, model, 'vectors.json'), 'utf8')) as { cases: { name: string }[] };
    const name = cases[0]?.name ?? '';
    const { inputs, outputs } = vector(model, name);
    return { name: `${model} answers its reference vector`, request: { model, inputs }, outputs };
  }),
  ...identities,
];

const failures: Scenario[] = [
  { name: 'an unknown model', request: digits({}, { model: 'nobody' }), fails: ['model_not_found', /Model with name nobody does not exist/] },
  { name: 'a model name that looks like a path', request: digits({}, { model: '../digits' }), fails: ['model_not_found', /does not exist/] },
  { name: 'a model called __proto__', request: digits({}, { model: '__proto__' }), fails: ['model_not_found', /__proto__ does not exist/] },
  {
    name: 'an unknown version',
    request: digits({}, { version: '7' }),
    fails: ['model_not_found', /digits.*version 7/],
    cannotCarry: v1Only('versions'),
  },
  {
    name: 'a version that is no number',
    request: digits({}, { version: 'latest!' }),
    fails: ['model_not_found', /version latest!/],
    cannotCarry: v1Only('versions'),
  },
  {
    name: 'a misspelled input',
    request: digits({ name: 'inputs' }),
    fails: ['invalid_request', /"inputs".*"input"/],
    cannotCarry: v1Only('names for a single input given as rows'),
  },
  {
    name: 'an input called __proto__',
    request: digits({ name: '__proto__' }),
    fails: ['invalid_request', /"__proto__"/],
    cannotCarry: v1Only('names for a single input given as rows'),
  },
  {
    name: 'no inputs at all',
    request: { model: 'digits', inputs: [] },
    fails: ['invalid_request', /input/i],
    cannotCarry: v1Only('way to leave all inputs out'),
  },
  {
    name: 'a missing input among two',
    request: { model: 'bert-tiny', inputs: vector('bert-tiny', firstCase('bert-tiny')).inputs.slice(0, 1) },
    fails: ['invalid_request', /[Mm]issing/],
    cannotCarry: v1Only('named tensors for a single column'),
  },
  {
    name: 'the same input twice',
    request: { model: 'digits', inputs: [pixels(1), pixels(1)] },
    fails: ['invalid_request', /"input"/],
    cannotCarry: v1Only('way to repeat a name'),
  },
  {
    name: 'another datatype than the model takes',
    request: digits({ datatype: 'FP64' }),
    fails: ['invalid_request', /"input".*FP32.*FP64/],
    cannotCarry: NO_TYPES,
  },
  { name: 'a datatype that does not exist', request: digits({ datatype: 'FLOAT' }), fails: ['invalid_request', /FLOAT/], cannotCarry: NO_TYPES },
  { name: 'too many dimensions', request: digits({ shape: [1, 64, 1] }), fails: ['invalid_request', /"input"/] },
  { name: 'too few dimensions', request: digits({ shape: [64] }), fails: ['invalid_request', /"input"/] },
  {
    name: 'a wrong fixed dimension',
    request: digits({ shape: [1, 63], values: pixels(1).values.slice(0, 63) }),
    fails: ['invalid_request', /"input".*64/],
  },
  {
    name: 'fewer values than the shape says',
    request: digits({ values: pixels(1).values.slice(0, 60) }),
    fails: ['invalid_request', /"input"/],
    cannotCarry: v1Only('shapes in its requests'),
  },
  {
    name: 'more values than the shape says',
    request: digits({ shape: [1, 64], values: pixels(2).values }),
    fails: ['invalid_request', /"input"/],
    cannotCarry: v1Only('shapes in its requests'),
  },
  { name: 'a negative dimension', request: digits({ shape: [-1, 64] }), fails: ['invalid_request', /"input"/], cannotCarry: NO_TYPES },
  {
    name: 'a shape whose product overflows',
    request: digits({ shape: [4294967296, 4294967296] }),
    fails: ['invalid_request', /"input"/],
    cannotCarry: NO_TYPES,
  },
  {
    name: 'a shape of zero and overflow',
    request: digits({ shape: [0, 9007199254740991, 9007199254740991], values: [] }),
    fails: ['invalid_request', /"input"/],
    cannotCarry: NO_TYPES,
  },
  {
    name: 'an unknown output',
    request: digits({}, { outputs: ['lable'] }),
    fails: ['invalid_request', /Unexpected inference output 'lable' for model 'digits'/],
    cannotCarry: v1Only('requested outputs'),
  },
  {
    name: 'an output called constructor',
    request: digits({}, { outputs: ['constructor'] }),
    fails: ['invalid_request', /'constructor'/],
    cannotCarry: v1Only('requested outputs'),
  },
  {
    name: 'the same output twice',
    request: digits({}, { outputs: ['label', 'label'] }),
    fails: ['invalid_request', /label/],
    cannotCarry: v1Only('requested outputs'),
  },
  {
    name: 'a timeout of text',
    request: digits({}, { parameters: { timeout: 'soon' } }),
    fails: ['invalid_request', /timeout/],
    cannotCarry: v1Only('parameters'),
  },
  {
    name: 'a negative timeout',
    request: digits({}, { parameters: { timeout: -5 } }),
    fails: ['invalid_request', /timeout/],
    cannotCarry: v1Only('parameters'),
  },
  {
    name: 'a timeout that is over before the model runs',
    request: { model: 'slow', inputs: slowInput(), parameters: { timeout: 20_000 } },
    fails: ['deadline_exceeded', /deadline|time/i],
    cannotCarry: v1Only('parameters'),
  },
  {
    name: 'two inputs that disagree on a shared dimension',
    request: { model: 'bert-tiny', inputs: disagreeing() },
    fails: ['invalid_request', /./],
    cannotCarry: v1Only('columns of unequal length: rows hold one value of each'),
  },
];

function firstCase(model: string): string {
  const { cases } = JSON.parse(readFileSync(join(FIXTURES, model, 'vectors.json'), 'utf8')) as { cases: { name: string }[] };
  return cases[0]?.name ?? '';
}

function disagreeing(): PlainTensor[] {
  return vector('bert-tiny', firstCase('bert-tiny')).inputs.map((input, i) =>
    i === 0
      ? input
      : {
          ...input,
          shape: [(input.shape[0] ?? 1) + 1, ...input.shape.slice(1)],
          values: [...input.values, ...input.values.slice(0, input.values.length / (input.shape[0] ?? 1))],
        },
  );
}

/** About 10 s of a loop of small nodes. */
function slowInput(): PlainTensor[] {
  return [
    { name: 'x', datatype: 'FP32', shape: [1, 8], values: new Array<number>(8).fill(0.5) },
    { name: 'iterations', datatype: 'INT64', shape: [], values: [1_000_000n] },
  ];
}

export const SCENARIOS: readonly Scenario[] = [...answers, ...failures];
