import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeInferRequest, parseHeaderLength, type DecodeInferOptions } from '../../../src/codec/index.ts';
import type { InferRequest } from '../../../src/core/infer.ts';
import { bytesFromElements } from '../../../src/core/tensor-bytes.ts';
import { comparable, request as anyRequest } from './arbitrary.ts';
import { decode } from './decode.ts';

describe('raw tensors behind the JSON', () => {
  const FP16_HEX = 'cd469a41cd449a3d0046cd428044663e';

  function withRaw(json: unknown, raw: Uint8Array, options: Partial<DecodeInferOptions> = {}): InferRequest {
    const header = Buffer.from(JSON.stringify(json));
    return decode(Buffer.concat([header, raw]), { headerLength: header.length, ...options });
  }

  it('FP16 raw and BYTES in JSON mix, and the size does not stay among the parameters', () => {
    const request = withRaw(
      {
        inputs: [
          { name: 'fp16_input', shape: [8], datatype: 'FP16', parameters: { binary_data_size: 16, kept: true } },
          { name: 'str_input', shape: [1], datatype: 'BYTES', data: ['cat'] },
          { name: 'int', shape: [3], datatype: 'INT32', parameters: { binary_data_size: 12 } },
          { name: 'raw', shape: [1], datatype: 'BYTES', parameters: { binary_data_size: 8 } },
        ],
      },
      Buffer.from(`${FP16_HEX}0100000002000000030000000400000074657374`, 'hex'),
    );
    expect(comparable(request.inputs)).toEqual([
      { name: 'fp16_input', datatype: 'FP16', shape: [8], data: FP16_HEX, parameters: [['kept', true]] },
      { name: 'str_input', datatype: 'BYTES', shape: [1], data: '03000000636174', parameters: [] },
      { name: 'int', datatype: 'INT32', shape: [3], data: '010000000200000003000000', parameters: [] },
      { name: 'raw', datatype: 'BYTES', shape: [1], data: '0400000074657374', parameters: [] },
    ]);
  });

  it('a header length over a body that is JSON alone is taken', () => {
    expect(withRaw({ inputs: [{ name: 'x', shape: [1], datatype: 'FP32', data: [1] }] }, new Uint8Array()).inputs).toHaveLength(1);
  });

  it('data counts when an input has both data and a size', () => {
    const input = { name: 'x', shape: [1], datatype: 'INT32', data: [5], parameters: { binary_data_size: 4 } };
    expect(withRaw({ inputs: [input] }, new Uint8Array()).inputs[0]!.data).toEqual(Int32Array.of(5));
  });

  const SIZED = (size: unknown, shape = [2]): object => ({
    inputs: [{ name: 'x', shape, datatype: 'FP32', parameters: { binary_data_size: size } }],
  });
  it.each([
    ['fewer bytes than announced', SIZED(8), 4, 'Cannot decode request: expected 8 bytes of raw tensors after the JSON, got 4'],
    ['more bytes than announced', SIZED(8), 12, 'expected 8 bytes of raw tensors after the JSON, got 12'],
    ['a size that does not fit the shape', SIZED(4), 4, 'Cannot decode input "x": expected 8 bytes for FP32 [2], got 4'],
    ['a negative size', SIZED(-8), 8, 'expected the parameter "binary_data_size" to be a number of bytes, got "-8"'],
    ['a fraction', SIZED(7.5), 8, 'to be a number of bytes, got "7.5"'],
    ['text', SIZED('8'), 8, 'to be a number of bytes, got "8"'],
    ['a boolean', SIZED(true), 8, 'to be a number of bytes, got "true"'],
    ['an enormous size', SIZED(2 ** 53 - 1), 8, 'expected 9007199254740991 bytes of raw tensors'],
    [
      'raw bytes but no size',
      { inputs: [{ name: 'x', shape: [2], datatype: 'FP32' }] },
      8,
      'expected "data" or the parameter "binary_data_size", got neither',
    ],
    ['raw bytes of nobody', { inputs: [] }, 8, 'expected 0 bytes of raw tensors after the JSON, got 8'],
  ])('%s is refused', (_name, json, bytes, message) => {
    expect(() => withRaw(json, new Uint8Array(bytes))).toThrow(message);
  });

  it('a size without a header length is refused, as is a header length beyond the body, or one that cuts the JSON', () => {
    expect(() => decode(SIZED(8))).toThrow(
      'Cannot decode input "x": expected "data", or raw bytes with the header Inference-Header-Content-Length, got neither',
    );
    expect(() => decode('{"inputs":[]}', { headerLength: 14 })).toThrow('expected Inference-Header-Content-Length of at most 13 bytes, got 14');
    expect(() => decode('{"inputs":[]}', { headerLength: 12 })).toThrow('Cannot parse request body: expected "," or "}" at byte 12, got the end');
  });

  it.each(['', '-1', '1.5', '1e3', 'abc', ' 5', '0x10', '9'.repeat(16), '٣'])('the header value %j is refused', (text) => {
    expect(() => parseHeaderLength(text)).toThrow('Cannot read header Inference-Header-Content-Length: expected a number of bytes, got ');
  });

  it('a header value of digits is a number', () => {
    expect([parseHeaderLength('0'), parseHeaderLength('345')]).toEqual([0, 345]);
  });
});

describe('the raw form of Triton, header length 0', () => {
  const raw = (datatype: 'FP32' | 'BYTES', shape: number[], bytes: Uint8Array): InferRequest =>
    decode(bytes, { headerLength: 0, signature: { inputs: [{ name: 'x', datatype, shape }], outputs: [] } });

  it('the varying dimension follows from the bytes, and all outputs are asked for in binary form', () => {
    const request = raw('FP32', [-1, 2], Buffer.from('0000803f000000400000404000008040', 'hex'));
    expect(request.inputs[0]).toMatchObject({ name: 'x', shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) });
    expect({ ...request.parameters }).toEqual({ binary_data_output: true });
    expect(raw('FP32', [-1, -1], new Uint8Array(12)).inputs[0]!.shape).toEqual([1, 3]);
    expect(raw('FP32', [2], new Uint8Array(8)).inputs[0]!.shape).toEqual([2]);
    expect(comparable(raw('BYTES', [-1], Buffer.from('hi')).inputs)).toMatchObject([{ shape: [1], data: '020000006869' }]);
  });

  it.each([
    ['bytes that do not divide', 'FP32', [-1, 2], 7, 'expected a multiple of 8 bytes for FP32 [-1,2], got 7'],
    ['three varying dimensions', 'FP32', [-1, -1, -1], 4, 'expected at most one varying dimension, got [-1,-1,-1]'],
    ['a wrong fixed size', 'FP32', [3], 8, 'expected a multiple of 12 bytes'],
    ['twice a fixed size', 'FP32', [2], 16, 'expected 8 bytes for FP32 [2], got 16'],
    ['several BYTES elements', 'BYTES', [-1, 2], 3, 'expected one BYTES element, got shape [-1,2]'],
  ] as const)('%s is refused', (_name, datatype, shape, bytes, message) => {
    expect(() => raw(datatype, [...shape], new Uint8Array(bytes))).toThrow(message);
  });

  it('a model with two inputs, or an unknown signature, is refused', () => {
    const input = { name: 'x', datatype: 'FP32', shape: [1] } as const;
    expect(() => decode(new Uint8Array(4), { headerLength: 0, signature: { inputs: [input, input], outputs: [] } })).toThrow(
      'expected a model with one input, got 2',
    );
    expect(() => decode(new Uint8Array(4), { headerLength: 0 })).toThrow('expected JSON before the raw tensors, got a header length of 0');
  });
});

describe('encodeInferRequest', () => {
  it.each([true, false])('any request, encoded with binary %s and decoded, is itself', (binary) => {
    fc.assert(
      fc.property(anyRequest({ isText: !binary }), (request) => {
        const { headerLength, chunks, contentType } = encodeInferRequest(request, { binary, binaryOutputs: false });
        const decoded = decode(Buffer.concat(chunks), headerLength === undefined ? {} : { headerLength });
        expect(contentType).toBe(binary && request.inputs.length > 0 ? 'application/octet-stream' : 'application/json');
        expect({ ...decoded, inputs: comparable(decoded.inputs) }).toEqual({ ...request, inputs: comparable(request.inputs) });
      }),
      { numRuns: 300 },
    );
  });

  it('binary outputs are asked for per output when there is a list, else for the whole', () => {
    const inputs = [{ name: 'x', datatype: 'FP32', shape: [1], data: Float32Array.of(1.5) }] as const;
    const text = (request: InferRequest): string =>
      Buffer.concat(encodeInferRequest(request, { binary: false, binaryOutputs: true }).chunks).toString();
    expect(text({ modelName: 'm', id: 'i', inputs })).toBe(
      '{"id":"i","parameters":{"binary_data_output":true},"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1.5]}]}',
    );
    expect(text({ modelName: 'm', inputs: [], outputs: [{ name: 'y' }, { name: 'z', parameters: { a: 1 } }] })).toBe(
      '{"inputs":[],"outputs":[{"name":"y","parameters":{"binary_data":true}},{"name":"z","parameters":{"a":1,"binary_data":true}}]}',
    );
  });

  it('BYTES that are not UTF-8 are refused in JSON', () => {
    const inputs = [{ name: 'x', datatype: 'BYTES', shape: [1], data: bytesFromElements([Uint8Array.of(0xff)]) }] as const;
    expect(() => encodeInferRequest({ modelName: 'm', inputs }, { binary: false, binaryOutputs: false })).toThrow(
      'Cannot encode input "x" as JSON: expected UTF-8 in element 0, got other bytes; send it in binary form',
    );
  });
});
