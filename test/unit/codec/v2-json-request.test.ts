import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeInferRequest } from '../../../src/codec/index.ts';
import { BIGINT_RANGE } from '../../../src/core/datatype.ts';
import { isServingError } from '../../../src/core/errors.ts';
import type { InferRequest } from '../../../src/core/infer.ts';
import { stringsFromBytes } from '../../../src/core/tensor-bytes.ts';
import type { BytesData, TensorData } from '../../../src/core/tensor.ts';
import { decode, oneInput, OPTIONS } from './decode.ts';

function dataOf(request: InferRequest): TensorData {
  return request.inputs[0]!.data;
}

function valuesOf(request: InferRequest): unknown[] {
  return Array.from(dataOf(request) as Float64Array);
}

const FLOAT_LIMIT = '340282356779733642748073463979561713664';

describe('element values', () => {
  it.each([
    [
      'FP32',
      '[0.1, 1e2, -0, null, "NaN", "Infinity", "-Infinity", 3.4028235677973362e38]',
      [Math.fround(0.1), 100, -0, NaN, NaN, Infinity, -Infinity, Math.fround(3.4028234e38)],
    ],
    ['FP64', '[0.1, 1e-400, 1.7976931348623157e308, "-Infinity"]', [0.1, 0, Number.MAX_VALUE, -Infinity]],
    ['UINT8', '[0, 255, 1.0, 1e2, 25.5e1]', [0, 255, 1, 100, 255]],
    ['INT8', '[-128, 127, -0, -1.28e2]', [-128, 127, 0, -128]],
    ['UINT16', '[65535]', [65535]],
    ['INT16', '[-32768, 32767]', [-32768, 32767]],
    ['UINT32', '[4294967295]', [4294967295]],
    ['INT32', '[-2147483648, 2147483647]', [-2147483648, 2147483647]],
    ['BOOL', '[true, false, 1, 0, 1.0]', [1, 0, 1, 0, 1]],
    [
      'INT64',
      '[-9223372036854775808, 9223372036854775807, "9223372036854775807", 9007199254740993, -1, -4294967297, 1e2, 9.007199254740993e15, "-5", -0]',
      [-(2n ** 63n), 2n ** 63n - 1n, 2n ** 63n - 1n, 9007199254740993n, -1n, -4294967297n, 100n, 9007199254740993n, -5n, 0n],
    ],
    ['UINT64', '[18446744073709551615, "18446744073709551615", 4294967296, 0, -0]', [2n ** 64n - 1n, 2n ** 64n - 1n, 4294967296n, 0n, 0n]],
    ['FP16', '[1, 65504, 65519.99, 1e-8, "Infinity", null]', [0x3c00, 0x7bff, 0x7bff, 0, 0x7c00, 0x7e00]],
    ['BF16', '[1, -2, 3.3895314e38, "-Infinity"]', [0x3f80, 0xc000, 0x7f7f, 0xff80]],
  ])('%s takes %s', (datatype, data, expected) => {
    const request = decode(oneInput(datatype, [expected.length], data));
    expect(valuesOf(request)).toEqual(expected);
  });

  it.each([
    ['UINT8', '[1,256]', 'Cannot decode input "x": expected UINT8 (an integer from 0 to 255) for element 1, got 256'],
    ['UINT8', '[-1,1]', 'expected UINT8 (an integer from 0 to 255) for element 0, got -1'],
    ['INT8', '[1,1.5]', 'expected INT8 (an integer from -128 to 127) for element 1, got 1.5'],
    ['UINT32', '[1,4294967296]', 'for element 1, got 4294967296'],
    ['INT32', '[1,"5"]', 'expected INT32 (an integer from -2147483648 to 2147483647) for element 1, got a string'],
    ['INT32', '[null,1]', 'for element 0, got null'],
    ['INT32', '[true,1]', 'for element 0, got a boolean'],
    ['INT16', '[1e999,1]', 'for element 0, got 1e999'],
    [
      'INT64',
      '[1,9223372036854775808]',
      'expected INT64 (an integer from -9223372036854775808 to 9223372036854775807) for element 1, got 9223372036854775808',
    ],
    ['INT64', '[1,4503599627370496.5]', 'for element 1, got 4503599627370496.5'],
    ['INT64', '[1,9007199254740993.1]', 'for element 1, got 9007199254740993.1'],
    ['INT64', '[1,0.5]', 'for element 1, got 0.5'],
    ['INT64', '[1,"0x10"]', 'for element 1, got 0x10'],
    ['INT64', '[1e999999999,1]', 'for element 0, got 1e999999999'],
    ['UINT64', '[-1,1]', 'expected UINT64 (an integer from 0 to 18446744073709551615) for element 0, got -1'],
    ['UINT64', '[1,18446744073709551616]', 'for element 1, got 18446744073709551616'],
    ['FP32', `[1,${FLOAT_LIMIT}]`, 'expected FP32 (a number up to ±3.4028235e+38) for element 1, got 3.4028235677973366e+38'],
    ['FP32', '[1e39,1]', 'for element 0, got 1e+39'],
    ['FP32', '[1,1e999]', 'for element 1, got 1e999'],
    ['FP64', '[1,-1e999]', 'expected FP64 (a number up to ±1.7976931348623157e+308) for element 1, got -1e999'],
    ['FP16', '[1,65520]', 'expected FP16 (a number up to ±65504) for element 1, got 65520'],
    ['BF16', '[1,3.4e38]', 'expected BF16 (a number up to ±3.3895314e+38) for element 1, got 3.4e+38'],
    ['FP32', '[1,"nan"]', 'expected FP32 (a number up to ±3.4028235e+38), "NaN", "Infinity" or "-Infinity" for element 1, got "nan"'],
    ['FP32', '[1,"__proto__"]', 'for element 1, got "__proto__"'],
    ['FP32', '[1,true]', 'for element 1, got a boolean'],
    ['FP32', '[1,{}]', 'for element 1, got an object'],
    ['BOOL', '[1,2]', 'expected BOOL (true, false, 0 or 1) for element 1, got 2'],
    ['BOOL', '[true,"true"]', 'for element 1, got a string'],
    ['BYTES', '["a",1]', 'expected BYTES (a string) for element 1, got a number'],
    ['BYTES', '["a",{"b64":"AA=="}]', 'expected BYTES (a string) for element 1, got an object'],
    ['BYTES', '["a","\\ud800"]', 'half a surrogate pair'],
  ])('%s refuses %s', (datatype, data, message) => {
    expect(() => decode(oneInput(datatype, [2], data))).toThrow(message);
  });

  it('BYTES hold the UTF-8 of their strings, however they are escaped', () => {
    const strings = ['', 'a\0b', 'häßlich', '🙂 "quoted" \\ / \b\f\n\r\t', 'x'.repeat(100), '日本語'.repeat(50_000)];
    for (const text of [
      JSON.stringify(strings),
      JSON.stringify(strings).replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`),
    ]) {
      expect(stringsFromBytes(dataOf(decode(oneInput('BYTES', [6], text))) as BytesData)).toEqual(strings);
    }
  });
});

describe('64-bit integers', () => {
  it.each(['INT64', 'UINT64'] as const)('any digits near the limits of %s, as number, exponent form or text, are exact or refused', (datatype) => {
    const [min, max] = BIGINT_RANGE[datatype];
    const near = fc.oneof(
      fc.bigInt({ min: -(2n ** 66n), max: 2n ** 66n }),
      fc
        .tuple(
          fc.constantFrom(min, max, 0n, 2n ** 32n, -(2n ** 32n), 2n ** 53n, -(2n ** 53n), 10n ** 18n, 10n ** 19n),
          fc.bigInt({ min: -3n, max: 3n }),
        )
        .map(([at, off]) => at + off),
    );
    fc.assert(
      fc.property(near, fc.constantFrom('', '.0', 'e0', 'text'), (value, form) => {
        const body = oneInput(datatype, [1], form === 'text' ? `["${value}"]` : `[${value}${form}]`);
        if (value >= min && value <= max) expect(valuesOf(decode(body))).toEqual([value]);
        else expect(() => decode(body)).toThrow(`for element 0, got ${value}`);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('shape and nesting', () => {
  it.each([
    ['a flat list', [2, 3], '[1,2,3,4,5,6]'],
    ['lists nested as the shape', [2, 3], '[[1,2,3],[4,5,6]]'],
    ['white space anywhere', [2, 3], ' [ [ 1 , 2 ,\n3 ] , [4,5,6\t] ] '],
    ['three levels', [1, 2, 3], '[[[1,2,3],[4,5,6]]]'],
  ])('%s is read row by row', (_name, shape, data) => {
    expect(valuesOf(decode(oneInput('INT32', shape, data)))).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it.each([
    ['a scalar', [], '[7]', 1],
    ['nothing, flat', [0, 4], '[]', 0],
    ['nothing, nested', [2, 0], '[[],[]]', 0],
    ['nothing, flat though nested would do', [2, 0], '[]', 0],
  ])('%s is read', (_name, shape, data, count) => {
    for (const datatype of ['FP32', 'INT64', 'BOOL', 'FP16', 'BF16'])
      expect(valuesOf(decode(oneInput(datatype, shape, data.replace('7', '1')))).length).toBe(count);
  });

  it.each([
    ['too few', [2, 2], '[1,2,3]', 'Cannot decode input "x": expected 4 elements for FP32 [2,2], got 3'],
    ['too many', [2], '[1,2,3]', 'expected 2 elements for FP32 [2], got 3'],
    ['none for a scalar', [], '[]', 'expected 1 elements for FP32 [], got 0'],
    ['a ragged row', [2, 2], '[[1,2],[3]]', 'expected lists nested as [2,2], at element [1][0] a list of 2, got 1'],
    ['a row too many', [1, 2], '[[1,2],[3,4]]', 'a list of 1, got 2'],
    ['a transposed list', [2, 3], '[[1,2],[3,4],[5,6]]', 'a list of 3, got 2'],
    ['a list among values', [2, 2], '[1,2,[3],4]', 'a value, got a list'],
    ['a value among lists', [2, 2], '[[1,2],3]', 'a list, got a number'],
    ['lists for one dimension', [4], '[[1,2],[3,4]]', 'a value, got a list'],
    ['deeper lists', [2, 1], '[[[1]],[[2]]]', 'a value, got a list'],
    ['no list', [1], '7', 'expected "data" to be a list, got a number'],
    ['a huge shape over little data', [4294967295], '[1]', 'expected 4294967295 elements for FP32 [4294967295], got 1'],
    ['a shape whose product overflows', [4294967295, 4294967295], '[1]', 'has more than 4294967295 elements'],
    ['a trailing comma', [2], '[1,2,]', 'Cannot parse request body: expected a value'],
    ['a missing comma', [2], '[1 2]', 'expected "," or "]"'],
  ])('%s is refused', (_name, shape, data, message) => {
    expect(() => decode(oneInput('FP32', shape, data))).toThrow(message);
  });

  it.each([
    ['a negative size', '[-1]', 'expected "shape" to be a list of non-negative integers, got -1 in it'],
    ['a fraction', '[1.5]', 'got 1.5 in it'],
    ['beyond 2^53', '[9007199254740993]', 'got 9007199254740993 in it'],
    ['text', '["2"]', 'expected "shape" to be a list of integers, got a string in it'],
    ['no list', '2', 'expected "shape" to be a list, got a number'],
    ['too many dimensions', `[${'1,'.repeat(255)}1]`, 'expected at most 255 dimensions, got more'],
  ])('a shape with %s is refused', (_name, shape, message) => {
    expect(() => decode(`{"inputs":[{"name":"x","datatype":"FP32","shape":${shape},"data":[1]}]}`)).toThrow(message);
  });
});

describe('fields', () => {
  it('everything a request may say is decoded; unknown fields, nulls and lower case are taken', () => {
    const request = decode({
      model_name: 'other',
      id: 'abc',
      parameters: { s: 'x', i: 5, f: 1.5, b: false },
      inputs: [{ extra: [{ deep: [1] }], name: 'x', shape: [1], datatype: 'fp32', parameters: { p: 1 }, data: [2] }],
      outputs: [
        { name: 'y', parameters: { binary_data: true } },
        { name: 'z', parameters: null },
      ],
      unknown: { nested: [null, true] },
    });
    expect(request).toEqual({
      modelName: 'm',
      id: 'abc',
      parameters: { s: 'x', i: 5, f: 1.5, b: false },
      inputs: [{ name: 'x', shape: [1], datatype: 'FP32', parameters: { p: 1 }, data: Float32Array.of(2) }],
      outputs: [{ name: 'y', parameters: { binary_data: true } }, { name: 'z' }],
    });
    expect(decode('{"id":null,"parameters":null,"outputs":null,"inputs":[]}', { modelVersion: '3' })).toEqual({
      modelName: 'm',
      modelVersion: '3',
      inputs: [],
    });
  });

  it('data that comes before datatype and shape is read all the same', () => {
    const request = decode(
      '{"inputs":[{"data":[[1,2],[3,4]],"name":"a","shape":[2,2],"datatype":"INT8"},{"data":["s"],"datatype":"BYTES","shape":[1],"name":"b"}],"id":"i"}',
    );
    expect(request.inputs.map(({ name }) => name)).toEqual(['a', 'b']);
    expect(valuesOf(request)).toEqual([1, 2, 3, 4]);
    expect(request.id).toBe('i');
  });

  it('integers beyond 2^53 in parameters are exact', () => {
    const request = decode(
      '{"inputs":[],"parameters":{"a":9007199254740993,"b":-9223372036854775808,"c":18446744073709551615,"d":1e20,"e":99999999999999999999}}',
    );
    expect({ ...request.parameters }).toEqual({ a: 9007199254740993n, b: -(2n ** 63n), c: 2n ** 64n - 1n, d: 1e20, e: 1e20 });
  });

  it('__proto__ and constructor are ordinary names', () => {
    const request = decode(
      '{"__proto__":{"x":1},"inputs":[{"name":"__proto__","shape":[1],"datatype":"FP32","data":[1],"parameters":{"__proto__":"p","constructor":1}}]}',
    );
    expect(Object.entries(request.inputs[0]!.parameters!)).toEqual([
      ['__proto__', 'p'],
      ['constructor', 1],
    ]);
    expect(Object.getPrototypeOf(request.inputs[0]!.parameters)).toBe(null);
    expect(({} as Record<string, unknown>)['x']).toBeUndefined();
  });

  const X = '{"name":"x","shape":[1],"datatype":"FP32","data":[1]}';
  it.each([
    ['no object', '[]', 'Cannot decode request: expected an object, got a list'],
    ['null', 'null', 'expected an object, got null'],
    ['no inputs', '{}', 'Cannot decode request: expected a field "inputs", got none'],
    ['null inputs', '{"inputs":null}', 'expected "inputs" to be a list, got null'],
    ['inputs that are an object', '{"inputs":{}}', 'expected "inputs" to be a list, got an object'],
    ['an input that is no object', '{"inputs":[1]}', 'Cannot decode inputs[0]: expected an object, got a number'],
    ['a name that is no text', '{"inputs":[{"name":1}]}', 'Cannot decode inputs[0]: expected "name" to be a string, got a number'],
    ['no name', '{"inputs":[{"shape":[1],"datatype":"FP32","data":[1]}]}', 'Cannot decode inputs[0]: expected a field "name", got none'],
    ['no shape', '{"inputs":[{"name":"x","datatype":"FP32","data":[1]}]}', 'Cannot decode input "x": expected a field "shape", got none'],
    ['no datatype', '{"inputs":[{"name":"x","shape":[1],"data":[1]}]}', 'Cannot decode input "x": expected a field "datatype", got none'],
    [
      'no data',
      '{"inputs":[{"name":"x","shape":[1],"datatype":"FP32"}]}',
      'Cannot decode input "x": expected "data" or the parameter "binary_data_size", got neither',
    ],
    ['an unknown datatype', '{"inputs":[{"name":"x","shape":[1],"datatype":"FLOAT","data":[1]}]}', 'expected "datatype" to be one of BOOL, UINT8'],
    ['a datatype that is no text', '{"inputs":[{"name":"x","shape":[1],"datatype":5}]}', 'expected "datatype" to be a string, got a number'],
    ['an id that is no text', '{"id":5,"inputs":[]}', 'Cannot decode request: expected "id" to be a string, got a number'],
    [
      'a null parameter',
      '{"inputs":[],"parameters":{"a":null}}',
      'Cannot decode request: expected parameter "a" to be a string, a number or a boolean, got null',
    ],
    ['a list as parameter', '{"inputs":[],"parameters":{"a":[]}}', 'expected parameter "a" to be a string, a number or a boolean, got a list'],
    ['an infinite parameter', '{"inputs":[],"parameters":{"a":1e999}}', 'expected parameter "a" to be a number that a double holds'],
    ['parameters that are no object', '{"inputs":[],"parameters":[]}', 'Cannot decode "parameters" of request: expected an object, got a list'],
    ['an output without a name', '{"inputs":[],"outputs":[{}]}', 'Cannot decode outputs[0]: expected a field "name", got none'],
    ['an output that is text', '{"inputs":[],"outputs":["y"]}', 'Cannot decode outputs[0]: expected an object, got a string'],
    ['an input twice', `{"inputs":[${X},${X}]}`, 'Cannot decode request: expected input "x" once, got it twice'],
    ['an output twice', '{"inputs":[],"outputs":[{"name":"y"},{"name":"y"}]}', 'expected output "y" once, got it twice'],
    ['the field inputs twice', '{"inputs":[],"inputs":[]}', 'Cannot decode request: expected "inputs" once, got it twice'],
    ['the field id twice', '{"inputs":[],"id":"","id":""}', 'expected "id" once, got it twice'],
    ['data twice', '{"inputs":[{"data":[1],"data":[1],"name":"x","shape":[1],"datatype":"FP32"}]}', 'expected "data" once, got it twice'],
    ['a parameter twice', '{"inputs":[],"parameters":{"a":1,"a":1}}', 'expected parameter "a" once, got it twice'],
    ['trailing bytes', '{"inputs":[]} x', 'Cannot parse request body: expected the end at byte 14, got "x"'],
    ['an empty body', '', 'Cannot parse request body: expected a value at byte 0, got the end'],
  ])('%s is refused', (_name, body, message) => {
    expect(() => decode(body)).toThrow(message);
  });

  it('nesting beyond the limit is refused in data and in unknown fields, before it is read', () => {
    expect(() => decode(`{"inputs":[],"x":${'['.repeat(100_000)}`)).toThrow('nesting deeper than 32 levels');
    expect(() => decode(oneInput('FP32', new Array<number>(40).fill(1), `${'['.repeat(40)}1${']'.repeat(40)}`))).toThrow(
      'nesting deeper than 32 levels',
    );
  });

  it('more inputs or parameters than any model has are refused', () => {
    const inputs = Array.from({ length: 8193 }, (_, index) => ({ name: `x${index}`, shape: [0], datatype: 'FP32', data: [] }));
    expect(() => decode({ inputs })).toThrow('expected at most 8192 inputs, got more');
    const parameters = Object.fromEntries(Array.from({ length: 1025 }, (_, index) => [`p${index}`, 1]));
    expect(() => decode({ inputs: [], parameters })).toThrow('expected at most 1024 parameters, got more');
    const outputs = Array.from({ length: 8193 }, (_, index) => ({ name: `y${index}` }));
    expect(() => decode({ inputs: [], outputs })).toThrow('expected at most 8192 outputs, got more');
  });
});

describe('hostile bodies', () => {
  const seeds = [
    '{"id":"a","inputs":[{"name":"x","shape":[2,2],"datatype":"FP32","data":[[1.5,-2e3],[null,"NaN"]]},{"data":["a\\u00e9"],"name":"y","shape":[1],"datatype":"BYTES"}]}',
    '{"inputs":[{"name":"x","shape":[2],"datatype":"INT64","data":[9223372036854775807,"5"]}],"parameters":{"a":1.5,"b":true},"outputs":[{"name":"o"}]}',
    '{"inputs":[{"name":"x","shape":[2],"datatype":"FP32","parameters":{"binary_data_size":8}}]}abcdefgh',
  ].map((text) => Buffer.from(text));

  it('any mutation of a valid request is decoded or refused as invalid_request, never anything else', () => {
    const mutation = fc.tuple(
      fc.constantFrom('set', 'insert', 'delete', 'repeat', 'cut'),
      fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
      fc.nat(255),
    );
    let refused = 0;
    fc.assert(
      fc.property(
        fc.constantFrom(...seeds),
        fc.array(mutation, { minLength: 1, maxLength: 6 }),
        fc.option(fc.nat(200)),
        (seed, mutations, headerLength) => {
          let bytes: Uint8Array = Uint8Array.from(seed);
          for (const [kind, where, byte] of mutations) {
            const at = Math.floor(where * bytes.length);
            const head = bytes.subarray(0, at);
            const tail = bytes.subarray(at);
            if (kind === 'set') bytes[at] = byte;
            else if (kind === 'insert') bytes = Buffer.concat([head, Uint8Array.of(byte), tail]);
            else if (kind === 'delete') bytes = Buffer.concat([head, tail.subarray(1)]);
            else if (kind === 'repeat') bytes = Buffer.concat([head, tail.subarray(0, byte), tail]);
            else bytes = Uint8Array.from(head);
          }
          try {
            decode(bytes, headerLength === null ? {} : { headerLength });
          } catch (error) {
            refused++;
            if (!isServingError(error) || error.reason !== 'invalid_request') throw error;
          }
        },
      ),
      { numRuns: 6000 },
    );
    expect(refused).toBeGreaterThan(3000);
  });
});

describe('large bodies', () => {
  it.each([
    ['FP32 numbers', 'FP32', '0.125'],
    ['INT64 numbers', 'INT64', '1234567890123456789'],
    ['booleans', 'BOOL', 'true'],
    ['strings', 'BYTES', '"text"'],
  ])('300,000 %s pause at least every few thousand elements, in any order of the fields', (_name, datatype, element) => {
    const count = 300_000;
    const data = `[${new Array<string>(count).fill(element).join(',')}]`;
    for (const body of [oneInput(datatype, [count], data), `{"inputs":[{"data":${data},"name":"x","datatype":"${datatype}","shape":[${count}]}]}`]) {
      const steps = decodeInferRequest(Buffer.from(body), OPTIONS);
      let pauses = 0;
      while (steps.next().done !== true) pauses++;
      expect(pauses).toBeGreaterThan(count / 4096);
    }
  });

  it('one string of many megabytes pauses, escaped or not', () => {
    for (const character of ['x', '\\n', 'é']) {
      const steps = decodeInferRequest(Buffer.from(oneInput('BYTES', [1], `["${character.repeat(4 << 20)}"]`)), OPTIONS);
      let pauses = 0;
      while (steps.next().done !== true) pauses++;
      expect(pauses).toBeGreaterThan(50);
    }
  });
});
