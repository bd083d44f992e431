import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeInferResponse, encodeInferResponse, type EncodedBody } from '../../../src/codec/index.ts';
import { isServingError } from '../../../src/core/errors.ts';
import { numberToFloat16 } from '../../../src/core/float16.ts';
import type { InferRequest, InferResponse } from '../../../src/core/infer.ts';
import { runSteps } from '../../../src/core/steps.ts';
import { bytesFromElements, bytesFromStrings } from '../../../src/core/tensor-bytes.ts';
import type { Tensor } from '../../../src/core/tensor.ts';
import { comparable, parameters, tensors } from './arbitrary.ts';

const REQUEST: InferRequest = { modelName: 'm', inputs: [] };

function encode(response: InferResponse, request: InferRequest = REQUEST): EncodedBody {
  return runSteps(encodeInferResponse(response, request));
}

function textOf(body: EncodedBody): string {
  return Buffer.concat(body.chunks).toString('utf8', 0, body.headerLength);
}

const VALUES = [6.8, 2.8, 4.8, 1.4, 6, 3.4, 4.5, 1.6];
const FP16_OUTPUT: Tensor = { name: 'fp16_output', datatype: 'FP16', shape: [8], data: Uint16Array.from(VALUES, numberToFloat16) };
const FP32_OUTPUT: Tensor = { name: 'fp32_output', datatype: 'FP32', shape: [8], data: Float32Array.from(VALUES) };
const FP16_HEX = 'cd469a41cd449a3d0046cd428044663e';
const FP32_HEX = '9a99d940333333409a9999403333b33f0000c0409a99594000009040cdcccc3f';

describe('encodeInferResponse', () => {
  it('fields come in the order of the protocol, absent ones not at all, data flat', () => {
    const outputs: Tensor[] = [
      { name: 'y', datatype: 'INT32', shape: [1, 2], data: Int32Array.of(1, -2), parameters: { p: 'q' } },
      { name: 'z', datatype: 'BOOL', shape: [], data: Uint8Array.of(1) },
      { name: 'none', datatype: 'FP32', shape: [0, 4], data: new Float32Array() },
    ];
    const response = { modelName: 'm', modelVersion: '2', id: 'i', parameters: { a: 1.5, b: true, c: 2n ** 63n }, outputs };
    const body = encode(response);
    expect(textOf(body)).toBe(
      '{"model_name":"m","model_version":"2","id":"i","parameters":{"a":1.5,"b":true,"c":9223372036854775808},"outputs":[' +
        '{"name":"y","datatype":"INT32","shape":[1,2],"parameters":{"p":"q"},"data":[1,-2]},' +
        '{"name":"z","datatype":"BOOL","shape":[],"data":[true]},' +
        '{"name":"none","datatype":"FP32","shape":[0,4],"data":[]}]}',
    );
    expect(body).toMatchObject({ contentType: 'application/json' });
    expect(body).not.toHaveProperty('headerLength');
    expect(textOf(encode({ modelName: 'm', outputs: [] }))).toBe('{"model_name":"m","outputs":[]}');
  });

  it.each<[Tensor, string]>([
    [
      { name: 'y', datatype: 'FP32', shape: [6], data: Float32Array.of(0.1, NaN, Infinity, -Infinity, -0, 1e-45) },
      '[0.1,"NaN","Infinity","-Infinity",-0,1e-45]',
    ],
    [{ name: 'y', datatype: 'FP64', shape: [5], data: Float64Array.of(0.1, NaN, Infinity, -Infinity, -0) }, '[0.1,"NaN","Infinity","-Infinity",-0]'],
    [{ name: 'y', datatype: 'FP64', shape: [3], data: Float64Array.of(1e300, -5e-324, 123456789.123) }, '[1e+300,-5e-324,123456789.123]'],
    [{ name: 'y', datatype: 'FP16', shape: [4], data: Uint16Array.of(0x46cd, 0x7e00, 0x7c00, 0x8000) }, '[6.80078125,"NaN","Infinity",-0]'],
    [{ name: 'y', datatype: 'BF16', shape: [2], data: Uint16Array.of(0x3fc0, 0xff80) }, '[1.5,"-Infinity"]'],
    [
      { name: 'y', datatype: 'INT64', shape: [6], data: BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n, -1n, 0n, 2n ** 53n, -(2n ** 53n) + 1n) },
      '[-9223372036854775808,9223372036854775807,-1,0,9007199254740992,-9007199254740991]',
    ],
    [{ name: 'y', datatype: 'UINT64', shape: [2], data: BigUint64Array.of(2n ** 64n - 1n, 4294967296n) }, '[18446744073709551615,4294967296]'],
    [{ name: 'y', datatype: 'UINT32', shape: [2], data: Uint32Array.of(4294967295, 10) }, '[4294967295,10]'],
    [{ name: 'y', datatype: 'INT8', shape: [2], data: Int8Array.of(-128, 127) }, '[-128,127]'],
    [
      { name: 'y', datatype: 'BYTES', shape: [4], data: bytesFromStrings(['', 'a"\\/\b\f\n\r\t\0\u001f', 'é日🙂', '\u2028']) },
      '["","a\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f","é日🙂","\u2028"]',
    ],
  ])('$datatype values look as they should', (output, data) => {
    const text = textOf(encode({ modelName: 'm', outputs: [output] }));
    expect(text.slice(text.indexOf('"data":') + 7, -3)).toBe(data);
    JSON.parse(text);
  });

  const BINARY = { parameters: { binary_data: true } };
  const WHOLE = { parameters: { binary_data_output: true } };
  it.each<[string, Partial<InferRequest>, string[]]>([
    ['nothing asked for', {}, []],
    ['the whole asked for', WHOLE, ['a', 'b']],
    ['the whole asked for, with an empty list of outputs', { ...WHOLE, outputs: [] }, ['a', 'b']],
    ['the whole refused', { parameters: { binary_data_output: false } }, []],
    ['one output asked for', { outputs: [{ name: 'a', ...BINARY }, { name: 'b' }] }, ['a']],
    [
      'a list of outputs that does not, though the whole is',
      { ...WHOLE, outputs: [{ name: 'a' }, { name: 'b', parameters: { binary_data: false } }] },
      [],
    ],
    ['a list of outputs in another order', { outputs: [{ name: 'b', ...BINARY }, { name: 'a' }] }, ['b']],
  ])('binary outputs with %s', (_name, request, binary) => {
    const outputs: Tensor[] = [
      { name: 'a', datatype: 'INT32', shape: [1], data: Int32Array.of(1) },
      { name: 'b', datatype: 'BYTES', shape: [1], data: bytesFromStrings(['test']), parameters: { kept: 1 } },
    ];
    const body = encode({ modelName: 'm', outputs }, { ...REQUEST, ...request });
    const json = JSON.parse(textOf(body)) as { outputs: { name: string; parameters?: Record<string, unknown>; data?: unknown }[] };
    const sizes: Record<string, number> = { a: 4, b: 8 };
    const raw: Record<string, string> = { a: '01000000', b: '0400000074657374' };
    for (const { name, parameters: given, data } of json.outputs) {
      expect(given?.['binary_data_size']).toBe(binary.includes(name) ? sizes[name] : undefined);
      expect(data === undefined).toBe(binary.includes(name));
      if (name === 'b') expect(given?.['kept']).toBe(1);
    }
    expect(body.contentType).toBe(binary.length > 0 ? 'application/octet-stream' : 'application/json');
    expect(
      Buffer.concat(body.chunks)
        .subarray(body.headerLength ?? Buffer.concat(body.chunks).length)
        .toString('hex'),
    ).toBe(binary.map((name) => raw[name]).join(''));
  });

  it('raw chunks are views of the outputs, not copies', () => {
    const body = encode({ modelName: 'm', outputs: [FP32_OUTPUT] }, { ...REQUEST, ...WHOLE });
    expect(body.chunks.at(-1)!.buffer).toBe((FP32_OUTPUT.data as Float32Array).buffer);
  });

  it('BYTES that are not UTF-8 are refused in JSON with the way out, and sent as they are in binary form', () => {
    const outputs: Tensor[] = [{ name: 'y', datatype: 'BYTES', shape: [2], data: bytesFromElements([Uint8Array.of(65), Uint8Array.of(0xff, 0xfe)]) }];
    expect(() => encode({ modelName: 'm', outputs })).toThrow(
      'Cannot encode output "y" as JSON: expected UTF-8 in element 1, got other bytes; ask for the output in binary form ("binary_data": true)',
    );
    expect(
      Buffer.concat(encode({ modelName: 'm', outputs }, { ...REQUEST, ...WHOLE }).chunks)
        .subarray(-11)
        .toString('hex'),
    ).toBe('010000004102000000fffe');
  });

  it('large outputs pause every few thousand elements and come as chunks', () => {
    for (const output of [
      { name: 'y', datatype: 'FP32', shape: [300_000], data: new Float32Array(300_000).fill(0.1) },
      { name: 'y', datatype: 'BYTES', shape: [1], data: bytesFromElements([new Uint8Array(4 << 20).fill(10)]) },
    ] satisfies Tensor[]) {
      const steps = encodeInferResponse({ modelName: 'm', outputs: [output] }, REQUEST);
      let pauses = 0;
      let step = steps.next();
      for (; step.done !== true; step = steps.next()) pauses++;
      expect(pauses).toBeGreaterThan(50);
      expect(step.value.chunks.length).toBeGreaterThan(1);
      JSON.parse(textOf(step.value));
    }
  });
});

describe('decodeInferResponse', () => {
  it.each([false, true])('any response, encoded and decoded with binary outputs %s, is itself', (binary) => {
    const response = fc.record(
      {
        modelName: fc.string({ unit: 'grapheme' }),
        outputs: tensors({ isText: !binary }),
        modelVersion: fc.string(),
        id: fc.string({ unit: 'grapheme' }),
        parameters,
      },
      { requiredKeys: ['modelName', 'outputs'] },
    );
    fc.assert(
      fc.property(response, (given) => {
        const body = encode(given, { ...REQUEST, parameters: { binary_data_output: binary } });
        const decoded = decodeInferResponse(Buffer.concat(body.chunks), body.headerLength);
        expect({ ...decoded, outputs: comparable(decoded.outputs) }).toEqual({ ...given, outputs: comparable(given.outputs) });
      }),
      { numRuns: 300 },
    );
  });

  const HEAD =
    '{"id":"123","model_name":"FP16OutputModel","model_version":null,"outputs":[{"name":"fp16_output","shape":[8],"datatype":"FP16","parameters":{"binary_data_size":16}},';
  it.each([
    [
      345,
      `${HEAD}{"name":"fp32_output","shape":[8],"datatype":"FP32","data":[6.800000190734863,2.799999952316284,4.800000190734863,1.399999976158142,6.0,3.4000000953674316,4.5,1.600000023841858]}]}`,
      FP16_HEX,
    ],
    [256, `${HEAD}{"name":"fp32_output","shape":[8],"datatype":"FP32","parameters":{"binary_data_size":32}}]}`, FP16_HEX + FP32_HEX],
  ])("KServe's golden answer with a header of %i bytes is understood", (headerLength, json, raw) => {
    expect(json.length).toBe(headerLength);
    const decoded = decodeInferResponse(Buffer.concat([Buffer.from(json), Buffer.from(raw, 'hex')]), headerLength);
    expect(decoded).toEqual({ modelName: 'FP16OutputModel', id: '123', outputs: [FP16_OUTPUT, FP32_OUTPUT] });
  });

  it("KServe's golden JSON answer with its nulls is understood", () => {
    const json =
      '{"model_name":"FP16InputModel","model_version":null,"id":"123","parameters":null,"outputs":[' +
      '{"name":"str_output","shape":[2],"datatype":"BYTES","parameters":null,"data":["cat","dog"]},' +
      '{"name":"fp32_output","shape":[2],"datatype":"FP32","parameters":null,"data":[6.0,null]}]}';
    expect(comparable(decodeInferResponse(Buffer.from(json)).outputs)).toEqual([
      { name: 'str_output', datatype: 'BYTES', shape: [2], data: '0300000063617403000000646f67', parameters: [] },
      { name: 'fp32_output', datatype: 'FP32', shape: [2], data: '0000c0400000c07f', parameters: [] },
    ]);
  });

  it.each([
    ['no JSON', 'Bad gateway', undefined],
    ['no outputs', '{"error":"x"}', undefined],
    ['too few raw bytes', '{"outputs":[{"name":"y","shape":[1],"datatype":"FP32","parameters":{"binary_data_size":4}}]}', 88],
    ['a header length beyond the body', '{}', 3],
  ])('%s is upstream_failed', (_name, text, headerLength) => {
    try {
      decodeInferResponse(Buffer.from(text), headerLength);
      expect.unreachable('accepted');
    } catch (error) {
      expect(isServingError(error) && error.reason).toBe('upstream_failed');
    }
  });
});
