import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeModelInferResponse, encodeModelInferRequest, peekModelInferRequest } from '../../../src/codec/v2-proto.ts';
import { INTEGER_RANGE } from '../../../src/core/datatype.ts';
import { isServingError } from '../../../src/core/errors.ts';
import type { TensorData } from '../../../src/core/tensor.ts';
import { decodeModelInferRequest } from '../../support/proto-messages.ts';
import { FIELDS, fp32, handwritten, wireRequest, wireResponse } from './v2-proto-oracle.ts';

describe('bad bytes', () => {
  const message = (input: object, rest: object = {}): Buffer => wireRequest({ model_name: 'm', inputs: [{ name: 'x', ...input }], ...rest });
  const refusals: { problem: string; bytes: Buffer; text: string }[] = [
    {
      problem: 'elements in the field of another datatype',
      bytes: message({ datatype: 'FP32', shape: [1], contents: { int_contents: [1] } }),
      text: 'Cannot decode input "x": expected fp32_contents for FP32, got int_contents',
    },
    {
      problem: 'fewer elements than the shape has',
      bytes: message({ datatype: 'INT32', shape: [3], contents: { int_contents: [1, 2] } }),
      text: 'Cannot decode input "x": expected 3 elements for INT32 [3] in int_contents, got 2',
    },
    {
      problem: 'a shape of billions over few bytes',
      bytes: message({ datatype: 'INT8', shape: [4_000_000_000], contents: { int_contents: [1] } }),
      text: 'Cannot decode input "x": expected 4000000000 elements for INT8 [4000000000] in int_contents, got 1',
    },
    {
      problem: 'no elements at all',
      bytes: message({ datatype: 'FP32', shape: [2] }),
      text: 'Cannot decode input "x": expected 2 elements for FP32 [2], got neither contents nor raw_input_contents',
    },
    {
      problem: 'typed FP16',
      bytes: message({ datatype: 'FP16', shape: [1], contents: { fp32_contents: [1] } }),
      text: 'Cannot decode input "x": FP16 has no typed contents, send raw_input_contents',
    },
    {
      problem: 'raw and typed mixed',
      bytes: message({ datatype: 'FP32', shape: [1], contents: { fp32_contents: [1] } }, { raw_input_contents: [Buffer.alloc(4)] }),
      text: 'Cannot decode input "x": it has contents although the message has raw_input_contents, expected only one of them',
    },
    {
      problem: 'fewer raw entries than inputs',
      bytes: wireRequest({ inputs: [{ name: 'a' }, { name: 'b' }], raw_input_contents: [Buffer.alloc(4)] }),
      text: 'Cannot decode raw_input_contents: expected 2 entries, one per input, got 1',
    },
    {
      problem: 'raw bytes that do not fit the shape',
      bytes: message({ datatype: 'FP32', shape: [3] }, { raw_input_contents: [Buffer.alloc(8)] }),
      text: 'Cannot decode input "x": expected 12 bytes for FP32 [3], got 8',
    },
    {
      problem: 'one input name twice',
      bytes: wireRequest({ inputs: [{ name: 'a' }, { name: 'a' }] }),
      text: 'Cannot decode request: input "a" is there twice, expected each name once',
    },
    {
      problem: 'one requested output twice',
      bytes: wireRequest({ outputs: [{ name: 'y' }, { name: 'y' }] }),
      text: 'Cannot decode request: requested output "y" is there twice, expected each name once',
    },
    { problem: 'an unknown datatype', bytes: message({ datatype: 'FP8', shape: [1] }), text: 'Cannot decode input "x": unknown datatype "FP8"' },
    {
      problem: 'a negative dimension',
      bytes: message({ datatype: 'FP32', shape: [-1], contents: { fp32_contents: [1] } }),
      text: 'Cannot read shape of input "x": expected non-negative integers, got [-1]',
    },
    {
      problem: 'a shape whose product overflows',
      bytes: message({ datatype: 'FP32', shape: ['4294967296', '4294967296'] }),
      text: 'Cannot read shape of input "x"',
    },
    {
      problem: 'a dimension beyond 2^53',
      bytes: message({ datatype: 'FP32', shape: ['9007199254740993'] }),
      text: 'Cannot read shape of input "x": expected non-negative integers',
    },
    {
      problem: 'thousands of dimensions',
      bytes: message({ datatype: 'FP32', shape: new Array<number>(5000).fill(1) }),
      text: 'its shape has more than 1024 dimensions',
    },
    { problem: 'a parameter without a value', bytes: wireRequest({ parameters: { k: {} } }), text: 'parameter "k" has no value' },
    { problem: 'a group', bytes: Buffer.from('7b7c', 'hex'), text: 'Cannot decode ModelInferRequest: field 15 is a group' },
    { problem: 'field number 0', bytes: Buffer.from('0001', 'hex'), text: 'it has an invalid field number' },
    { problem: 'wire type 7', bytes: Buffer.from('0f', 'hex'), text: 'field 1 has invalid wire type 7' },
    { problem: 'a name sent as a varint', bytes: Buffer.from('0801', 'hex'), text: 'field 1 came as a varint, expected bytes' },
    { problem: 'a name that is not UTF-8', bytes: Buffer.from('0a01ff', 'hex'), text: 'field 1 is not valid UTF-8' },
    { problem: 'a length beyond the end', bytes: Buffer.from('0a05', 'hex'), text: 'field 1 announces 5 bytes, 0 are left' },
    {
      problem: 'an absurd length',
      bytes: Buffer.from('0affffffffffffffff7f', 'hex'),
      text: 'field 1 announces 9223372036854776000 bytes, 0 are left',
    },
    { problem: 'a varint cut off', bytes: Buffer.from('0aff', 'hex'), text: 'it ends inside a varint' },
    { problem: 'a varint of eleven bytes', bytes: Buffer.from('78' + 'ff'.repeat(10) + '01', 'hex'), text: 'a varint has more than 64 bits' },
    {
      problem: 'packed floats of odd size',
      bytes: handwritten({ datatype: 'FP32', shape: [1], contents: Buffer.from('3203000000', 'hex') }),
      text: 'fp32_contents has 3 bytes, expected a multiple of 4',
    },
    {
      problem: 'packed integers that end inside a varint',
      bytes: handwritten({ datatype: 'INT32', shape: [1], contents: Buffer.from('12020180', 'hex') }),
      text: 'int_contents ends inside a varint',
    },
    {
      problem: 'an int32 beyond 32 bits',
      bytes: handwritten({ datatype: 'INT32', shape: [1], contents: Buffer.from('108080808010', 'hex') }),
      text: 'Cannot decode input "x": expected -2147483648 to 2147483647 for INT32 element 0, got 4294967296',
    },
  ];

  it.each(refusals)('with $problem are refused', ({ bytes, text }) => {
    expect(() => decodeModelInferRequest(bytes)).toThrow(text);
    expect(refusal(() => decodeModelInferRequest(bytes))).toBe('invalid_request');
  });

  it.each(['INT8', 'INT16', 'UINT8', 'UINT16'] as const)('with a value just outside %s are refused, just inside taken', (datatype) => {
    const [min, max] = INTEGER_RANGE[datatype];
    const field = FIELDS[datatype] ?? '';
    const decode = (value: number): TensorData | undefined =>
      decodeModelInferRequest(message({ datatype, shape: [1], contents: { [field]: [value] } })).request.inputs[0]?.data;
    expect(Array.from(decode(min) as Int8Array)).toEqual([min]);
    expect(Array.from(decode(max) as Int8Array)).toEqual([max]);
    expect(() => decode(max + 1)).toThrow(`expected ${String(min)} to ${String(max)} for ${datatype} element 0, got ${String(max + 1)}`);
    if (min < 0) expect(() => decode(min - 1)).toThrow(`got ${String(min - 1)}`);
  });

  it('quote a name of megabytes only in part', () => {
    const error = catching(() => decodeModelInferRequest(message({ name: 'n'.repeat(1e6), datatype: 'X' })));
    expect(String(error).length).toBeLessThan(300);
  });

  it('never cause anything but invalid_request', () => {
    const seeds = [
      encodeModelInferRequest({ modelName: 'm', id: 'i', inputs: [fp32('x', [1, 2, 3])], outputs: [{ name: 'y' }] }, { raw: true }),
      wireRequest({
        model_name: 'm',
        parameters: { k: { double_param: 1 } },
        inputs: [
          { name: 'a', datatype: 'INT64', shape: [2], contents: { int64_contents: ['-1', '5'] } },
          { name: 'b', datatype: 'BYTES', shape: [2], contents: { bytes_contents: [Buffer.from('ab'), Buffer.alloc(0)] } },
        ],
      }),
    ];
    const mutated = fc
      .tuple(fc.constantFrom(...seeds), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }), fc.option(fc.nat()))
      .map(([seed, changes, cut]) => {
        const bytes = Buffer.from(seed);
        for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
        return cut === null ? bytes : bytes.subarray(0, cut % bytes.length);
      });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 80 }), mutated), (bytes) => {
        expect(['ok', 'invalid_request']).toContain(refusal(() => decodeModelInferRequest(bytes)));
        expect(['ok', 'invalid_request']).toContain(refusal(() => decodeModelInferResponse(bytes)));
        expect(['ok', 'invalid_request']).toContain(refusal(() => peekModelInferRequest(bytes)));
      }),
      { numRuns: 2000 },
    );
  });
});

function catching(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  return undefined;
}

function refusal(run: () => unknown): string {
  const error = catching(run);
  if (error === undefined) return 'ok';
  return isServingError(error) ? error.reason : 'not a ServingError';
}

it('Empty contents beside raw ones, as MLServer sends them, say nothing', () => {
  const tensor = { name: 'y', datatype: 'FP32', shape: [1], contents: {} };
  const bytes = wireResponse({ model_name: 'm', outputs: [tensor], raw_output_contents: [Buffer.from(Float32Array.of(1.5).buffer)] });
  // The tensor's last field: 5, of no bytes.
  expect(bytes.includes(Buffer.from([0x2a, 0x00]))).toBe(true);
  expect(decodeModelInferResponse(bytes).outputs[0]?.data).toEqual(Float32Array.of(1.5));
});
