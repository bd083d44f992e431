import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeOpenPredictRequest,
  decodePredictRequest,
  decodePredictResponse,
  encodePredictRequest,
  type PredictRequest,
} from '../../../src/codec/index.ts';
import { runSteps } from '../../../src/core/steps.ts';
import { bytesElement, bytesFromElements, bytesFromStrings, stringsFromBytes } from '../../../src/core/tensor-bytes.ts';
import { isBytesData, type BytesData, type Tensor } from '../../../src/core/tensor.ts';

const x: Tensor = { name: 'x', datatype: 'FP32', shape: [2, 2], data: Float32Array.of(1, 2.5, NaN, -Infinity) };
const y: Tensor = { name: 'y', datatype: 'INT64', shape: [2], data: BigInt64Array.of(1n, 2n ** 62n) };
const scalar: Tensor = { name: 's', datatype: 'BYTES', shape: [], data: bytesFromStrings(['ä']) };

function textOf(inputs: readonly Tensor[]): string {
  return Buffer.concat(encodePredictRequest({ modelName: 'm', inputs }).chunks).toString();
}

function read(text: string, name?: string): readonly Tensor[] | undefined {
  return decodePredictResponse(Buffer.from(text), name);
}

describe('encodePredictRequest', () => {
  it.each([
    ['one input as bare rows', [x], '{"instances":[[1,2.5],["NaN","-Infinity"]]}'],
    ['several inputs as named rows', [x, y], '{"instances":[{"x":[1,2.5],"y":1},{"x":["NaN","-Infinity"],"y":4611686018427387904}]}'],
    ['inputs without common rows as columns', [y, scalar], '{"inputs":{"y":[1,4611686018427387904],"s":"ä"}}'],
    ['no inputs at all', [], '{"inputs":{}}'],
  ])('writes %s', (_, inputs, text) => {
    expect(textOf(inputs)).toBe(text);
  });

  it('is read by our own server as it was', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.float(), fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n)), { minLength: 1, maxLength: 5 }), (rows) => {
        const inputs: Tensor[] = [
          { name: 'f', datatype: 'FP32', shape: [rows.length, 1], data: Float32Array.from(rows, ([f]) => f) },
          { name: 'i', datatype: 'INT64', shape: [rows.length], data: BigInt64Array.from(rows, ([, i]) => i) },
        ];
        const signature = {
          inputs: inputs.map(({ name, datatype, shape }) => ({ name, datatype, shape: shape.map(() => -1) })),
          outputs: [],
        };
        const { request } = runSteps(decodePredictRequest(Buffer.from(textOf(inputs)), { modelName: 'm', maxDepth: 10, signature }));
        expect(request.inputs).toEqual(inputs);
      }),
    );
  });
});

describe('decodeOpenPredictRequest', () => {
  const decode = (text: string): PredictRequest => runSteps(decodeOpenPredictRequest(Buffer.from(text), { modelName: 'm', maxDepth: 5 }));
  const fp64 = (name: string, shape: readonly number[], values: readonly number[]): Tensor => ({
    name,
    datatype: 'FP64',
    shape,
    data: Float64Array.from(values),
  });

  it.each<[string, PredictRequest['form'], number, Tensor[]]>([
    ['{"instances":[[1,2],[3,4]]}', 'instances', 2, [fp64('input-0', [2, 2], [1, 2, 3, 4])]],
    ['{"inputs":[1,2.5]}', 'instances', 2, [fp64('input-0', [2], [1, 2.5])]],
    ['{"instances":[{"a":1,"b":[2,3]}]}', 'instances', 1, [fp64('a', [1], [1]), fp64('b', [1, 2], [2, 3])]],
    ['{"inputs":{"a":[1],"b":[2]}}', 'columns', 1, [fp64('a', [1], [1]), fp64('b', [1], [2])]],
  ])('reads %s as numbers of floating point', (text, form, rows, inputs) => {
    expect(decode(text)).toEqual({ request: { modelName: 'm', inputs }, form, rows });
  });

  it.each(['{}', '{"instances":[[1],[2,3]]}', '{"instances":7', '{"instances":[[[[[[1]]]]]]}'])('refuses %s', (text) => {
    expect(() => decode(text)).toThrow(expect.objectContaining({ reason: 'invalid_request' }) as Error);
  });
});

describe('decodePredictResponse', () => {
  it.each(['', '{', '{"predictions":[1}', '<html>', '{"predictions":[1]} x', '{"predictions":[01]}', '\xff'])(
    'refuses what is not JSON: %j',
    (text) => {
      expect(() => decodePredictResponse(Buffer.from(text, 'latin1'))).toThrow(expect.objectContaining({ reason: 'upstream_failed' }) as Error);
    },
  );

  it.each([
    '7',
    '[]',
    '{}',
    '{"result":[1]}',
    '{"predictions":null}',
    '{"predictions":[[1],[2,3]]}',
    '{"predictions":[1,[2]]}',
    '{"predictions":[1,"a"]}',
    '{"predictions":[true,1]}',
    '{"predictions":[{"a":1},{"b":1}]}',
    '{"predictions":[{"a":1,"b":2},{"a":1,"a":2}]}',
    '{"predictions":[{"label":{"deep":1}}]}',
    '{"predictions":[{"a":1},2]}',
    '{"predictions":{"a":null}}',
    '{"predictions":{"constructor":null}}',
  ])('leaves alone what no tensors can hold: %s', (text) => {
    expect(read(text)).toBeUndefined();
  });

  it.each<[string, Pick<Tensor, 'datatype' | 'shape' | 'data'>]>([
    ['{"predictions":[1,2]}', { datatype: 'INT64', shape: [2], data: BigInt64Array.of(1n, 2n) }],
    ['{"predictions":[[1.0,2]]}', { datatype: 'FP64', shape: [1, 2], data: Float64Array.of(1, 2) }],
    ['{"predictions":[9223372036854775807]}', { datatype: 'INT64', shape: [1], data: BigInt64Array.of(2n ** 63n - 1n) }],
    ['{"predictions":[9223372036854775808]}', { datatype: 'FP64', shape: [1], data: Float64Array.of(2 ** 63) }],
    ['{"predictions":[1e2]}', { datatype: 'FP64', shape: [1], data: Float64Array.of(100) }],
    ['{"predictions":["NaN",1,"-Infinity"]}', { datatype: 'FP64', shape: [3], data: Float64Array.of(NaN, 1, -Infinity) }],
    ['{"predictions":[[true],[false]]}', { datatype: 'BOOL', shape: [2, 1], data: Uint8Array.of(1, 0) }],
    ['{"predictions":[]}', { datatype: 'FP64', shape: [0], data: new Float64Array(0) }],
    ['{"predictions":[[],[]]}', { datatype: 'FP64', shape: [2, 0], data: new Float64Array(0) }],
    ['{"predictions":7}', { datatype: 'INT64', shape: [], data: BigInt64Array.of(7n) }],
    ['{"id":[1],"outputs":[3]}', { datatype: 'INT64', shape: [1], data: BigInt64Array.of(3n) }],
  ])('reads %s', (text, tensor) => {
    expect(read(text)).toEqual([{ name: 'output-0', ...tensor }]);
  });

  it('reads strings and base64 as BYTES', () => {
    const [tensor] = read('{"predictions":["ä\\n",{"b64":"/w=="},"NaN"]}') ?? [];
    const data = tensor?.data as BytesData;
    expect([0, 1, 2].map((index) => Buffer.from(bytesElement(data, index)))).toEqual([Buffer.from('ä\n'), Buffer.of(255), Buffer.from('NaN')]);
  });

  it('names the only output as it was asked for', () => {
    expect(read('{"predictions":[1]}', 'label')?.[0]?.name).toBe('label');
  });

  it('reads named rows and named tensors', () => {
    const rows = read('{"predictions":[{"label":3,"p":[0.5,0.5]},{"p":[1,0],"label":4}]}');
    const whole = read('{"outputs":{"label":[3,4],"p":[[0.5,0.5],[1,0]]}}');
    expect(rows).toEqual(whole);
    expect(rows).toEqual([
      { name: 'label', datatype: 'INT64', shape: [2], data: BigInt64Array.of(3n, 4n) },
      { name: 'p', datatype: 'FP64', shape: [2, 2], data: Float64Array.of(0.5, 0.5, 1, 0) },
    ]);
  });

  it('reads back what JSON.stringify writes of any nested numbers and strings', () => {
    const matrix = <T>(element: fc.Arbitrary<T>): fc.Arbitrary<T[][]> =>
      fc
        .tuple(fc.nat(4), fc.nat(4))
        .chain(([rows, columns]) => fc.array(fc.array(element, { minLength: columns, maxLength: columns }), { minLength: rows, maxLength: rows }));
    fc.assert(
      fc.property(matrix(fc.double({ noNaN: true, noDefaultInfinity: true })), (rows) => {
        const [tensor] = read(JSON.stringify({ predictions: rows })) ?? [];
        expect(Array.from(tensor?.data as Iterable<number | bigint>, Number)).toEqual(JSON.parse(JSON.stringify(rows.flat())));
        expect(tensor?.shape).toEqual(rows.length === 0 ? [0] : [rows.length, rows[0]?.length]);
      }),
    );
    fc.assert(
      fc.property(matrix(fc.string({ unit: 'grapheme' })), (rows) => {
        const [tensor] = read(JSON.stringify({ predictions: rows })) ?? [];
        if (rows.flat().length === 0 || tensor === undefined || !isBytesData(tensor.data)) return;
        expect(stringsFromBytes(tensor.data)).toEqual(rows.flat());
      }),
    );
  });

  it('carries BYTES there and back', () => {
    const sent: Tensor = { name: 'b', datatype: 'BYTES', shape: [2], data: bytesFromElements([Buffer.of(255, 0), Buffer.from('x')]) };
    expect(read(textOf([sent]).replace('instances', 'predictions'), 'b')).toEqual([sent]);
  });
});
