import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeModelInferResponse, encodeModelInferRequest, peekModelInferRequest } from '../../../src/codec/v2-proto.ts';
import { DATATYPES, type Datatype } from '../../../src/core/datatype.ts';
import type { InferRequest, InferResponse } from '../../../src/core/infer.ts';
import { allocateData, createParameters, type Parameters, type Tensor, type TensorData } from '../../../src/core/tensor.ts';
import { bytesFromElements, bytesFromStrings, tensorFromBytes, tensorToBytes } from '../../../src/core/tensor-bytes.ts';
import { decodeModelInferRequest, encodeModelInferResponse } from '../../support/proto-messages.ts';
import { FIELDS, fp32, handwritten, plainElements, plainRequest, plainResponse, TYPED, wireRequest, wireResponse } from './v2-proto-oracle.ts';

/** Elements again as a comparable list, with NaN and -0 told apart. */
function bitsOf(data: TensorData): string {
  return Buffer.from(tensorToBytes(data)).toString('hex');
}

const parameterValue = fc.oneof(
  fc.boolean(),
  fc.string({ unit: 'grapheme' }),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.double({ noNaN: true }),
  fc.bigInt(2n ** 53n, 2n ** 64n - 1n),
  fc.bigInt(-(2n ** 63n), -(2n ** 53n)),
);
const parameters = fc
  .array(fc.tuple(fc.oneof(fc.string({ unit: 'grapheme' }), fc.constantFrom('__proto__', 'constructor')), parameterValue), { maxLength: 3 })
  .map((entries) => createParameters(entries));

function tensorData(datatype: Datatype, count: number): fc.Arbitrary<TensorData> {
  if (datatype === 'BYTES') return fc.array(fc.uint8Array({ maxLength: 9 }), { minLength: count, maxLength: count }).map(bytesFromElements);
  const size = allocateData(datatype, 1).BYTES_PER_ELEMENT * count;
  return fc
    .uint8Array({ minLength: size, maxLength: size })
    .map((bytes) => tensorFromBytes(datatype, [count], datatype === 'BOOL' ? bytes.map((byte) => byte & 1) : bytes, 'input "x"'));
}

function tensors(datatypes: readonly Datatype[]): fc.Arbitrary<Tensor[]> {
  const tensor = fc.tuple(fc.constantFrom(...datatypes), fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 })).chain(([datatype, shape]) => {
    const count = shape.reduce((product, dimension) => product * dimension, 1);
    return fc.record({ datatype: fc.constant(datatype), shape: fc.constant(shape), data: tensorData(datatype, count), parameters });
  });
  return fc
    .uniqueArray(fc.string({ unit: 'grapheme' }), { maxLength: 3 })
    .chain((names) => fc.tuple(...names.map((name) => tensor.map((rest): Tensor => ({ name, ...rest })))));
}

const envelope = {
  modelName: fc.string({ unit: 'grapheme' }),
  modelVersion: fc.option(fc.string({ minLength: 1 }), { nil: undefined }),
  id: fc.option(fc.string({ minLength: 1 }), { nil: undefined }),
  parameters,
};
/** Without the keys that are undefined, as the decoder leaves them out. */
const compact = <T extends object>(value: T): T => Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as T;
const noParameters = (value: Parameters | undefined): boolean => value === undefined || Object.keys(value).length === 0;

function expectSameTensors(got: readonly Tensor[], expected: readonly Tensor[]): void {
  expect(got.map(({ name, datatype, shape }) => ({ name, datatype, shape }))).toEqual(
    expected.map(({ name, datatype, shape }) => ({ name, datatype, shape })),
  );
  expect(got.map((tensor) => bitsOf(tensor.data))).toEqual(expected.map((tensor) => bitsOf(tensor.data)));
  expect(got.map((tensor) => tensor.parameters ?? createParameters())).toEqual(expected.map((tensor) => tensor.parameters));
}

describe('ModelInferRequest', () => {
  it.each([
    { form: 'raw', raw: true, datatypes: DATATYPES },
    { form: 'typed', raw: false, datatypes: TYPED },
  ])('decodes to what was encoded ($form)', ({ raw, datatypes }) => {
    const request = fc.record({
      ...envelope,
      inputs: tensors(datatypes),
      outputs: fc.uniqueArray(fc.record({ name: fc.string(), parameters }), { selector: (output) => output.name, maxLength: 3 }),
    });
    fc.assert(
      fc.property(request, (value) => {
        const expected = compact(value) as InferRequest;
        const decoded = decodeModelInferRequest(encodeModelInferRequest(expected, { raw }));
        expect(decoded.raw).toBe(raw && value.inputs.length > 0);
        expect(decoded.request.modelName).toBe(value.modelName);
        expect(decoded.request.modelVersion).toBe(value.modelVersion);
        expect(decoded.request.id).toBe(value.id);
        expect(decoded.request.parameters ?? createParameters()).toEqual(value.parameters);
        expectSameTensors(decoded.request.inputs, value.inputs);
        expect((decoded.request.outputs ?? []).map((output) => ({ name: output.name, parameters: output.parameters ?? createParameters() }))).toEqual(
          value.outputs,
        );
      }),
      { numRuns: 300 },
    );
  });

  it('written by protobufjs decodes to the same tensors', () => {
    fc.assert(
      fc.property(tensors(TYPED), fc.boolean(), (inputs, raw) => {
        const wire = wireRequest({
          model_name: 'm',
          inputs: inputs.map(({ name, datatype, shape, data }, index) => ({
            name,
            datatype,
            shape,
            ...(!raw && { contents: { [FIELDS[datatype] ?? '']: plainElements({ name, datatype, shape, data }) } }),
            parameters: { index: { int64_param: String(index) } },
          })),
          raw_input_contents: raw ? inputs.map((input) => tensorToBytes(input.data)) : [],
        });
        const decoded = decodeModelInferRequest(wire);
        expect(decoded.raw).toBe(raw && inputs.length > 0);
        // protobufjs turns float elements into float32 by itself, which quiets signalling NaNs: compare values there.
        decoded.request.inputs.forEach((input, index) => {
          const { name, datatype, shape, data } = inputs[index]!;
          expect({ ...input, data: undefined }).toEqual({ name, datatype, shape, data: undefined, parameters: createParameters([['index', index]]) });
          if (raw) expect(bitsOf(input.data)).toBe(bitsOf(data));
          else expect(plainElements(input)).toEqual(plainElements({ name, datatype, shape, data }));
        });
      }),
      { numRuns: 300 },
    );
  });

  it('is read by protobufjs as it was meant', () => {
    fc.assert(
      fc.property(tensors(TYPED), (inputs) => {
        const message = plainRequest(encodeModelInferRequest({ modelName: 'm', inputs, outputs: [{ name: 'y' }] }, { raw: false }));
        expect(message.outputs.map((output) => output.name)).toEqual(['y']);
        message.inputs.forEach((input, index) => {
          const expected = inputs[index]!;
          expect(input).toMatchObject({ name: expected.name, datatype: expected.datatype });
          expect(input.shape.map(Number)).toEqual(expected.shape);
          expect(input.contents?.[FIELDS[expected.datatype] ?? ''] ?? []).toEqual(plainElements(expected));
        });
      }),
      { numRuns: 200 },
    );
  });

  it('with parameters of all five kinds is read with their exact values', () => {
    const { request } = decodeModelInferRequest(
      wireRequest({
        model_name: 'm',
        parameters: {
          bool: { bool_param: false },
          int: { int64_param: '-7' },
          big: { int64_param: '-9223372036854775808' },
          text: { string_param: '' },
          double: { double_param: 0.5 },
          unsigned: { uint64_param: '3' },
          huge: { uint64_param: '18446744073709551615' },
        },
      }),
    );
    expect({ ...request.parameters }).toEqual({
      bool: false,
      int: -7,
      big: -(2n ** 63n),
      text: '',
      double: 0.5,
      unsigned: 3,
      huge: 2n ** 64n - 1n,
    });
  });

  it('with unpacked elements and packed chunks mixed is read in order', () => {
    // contents: fp32_contents unpacked 1, packed [2, 3], unpacked 4.
    const contents = Buffer.from('35' + '0000803f' + '3208' + '00000040' + '00004040' + '35' + '00008040', 'hex');
    const { request } = decodeModelInferRequest(handwritten({ datatype: 'FP32', shape: [4], contents }));
    expect(request.inputs[0]?.data).toEqual(new Float32Array([1, 2, 3, 4]));
  });

  it('with unpacked integers is read in order', () => {
    const contents = Buffer.from('1005' + '1203' + '06ac02' + '10' + 'ffffffffffffffffff01', 'hex');
    const { request } = decodeModelInferRequest(handwritten({ datatype: 'INT32', shape: [4], contents }));
    expect(request.inputs[0]?.data).toEqual(new Int32Array([5, 6, 300, -1]));
  });

  it('takes a datatype in lower case', () => {
    const { request } = decodeModelInferRequest(handwritten({ datatype: 'int32', shape: [1], contents: Buffer.from('1005', 'hex') }));
    expect(request.inputs[0]?.datatype).toBe('INT32');
  });

  it('skips fields it does not know, at every level', () => {
    const unknown = Buffer.from('7a03616263' + '7805' + '7d01020304' + '790102030405060708', 'hex');
    const contents = Buffer.concat([unknown, Buffer.from('1005', 'hex'), unknown]);
    const message = Buffer.concat([unknown, handwritten({ datatype: 'INT32', shape: [1], contents }), unknown]);
    expect(decodeModelInferRequest(message).request.inputs[0]?.data).toEqual(new Int32Array([5]));
    expect(peekModelInferRequest(message)).toEqual({ modelName: 'm', modelVersion: '', id: '' });
  });

  it('is not referred to by the tensors decoded from it', () => {
    const wire = encodeModelInferRequest({ modelName: 'm', inputs: [fp32('x', [1, 2])] }, { raw: true });
    const { request } = decodeModelInferRequest(wire);
    wire.fill(0xff);
    expect(request.inputs[0]?.data).toEqual(new Float32Array([1, 2]));
    expect((request.inputs[0]?.data as Float32Array).byteOffset).toBe(0);
  });

  it('of FP16 inputs is encoded raw even when typed contents are asked for', () => {
    const half: Tensor = { name: 'h', datatype: 'FP16', shape: [1], data: new Uint16Array([0x3c00]) };
    const message = plainRequest(encodeModelInferRequest({ modelName: 'm', inputs: [half, fp32('x', [1])] }, { raw: false }));
    expect(message.raw_input_contents.map((bytes) => bytes.toString('hex'))).toEqual(['003c', '0000803f']);
  });
});

describe('ModelInferResponse', () => {
  it.each([
    { form: 'raw', raw: true, datatypes: DATATYPES },
    { form: 'typed', raw: false, datatypes: TYPED },
  ])('decodes to what was encoded ($form)', ({ raw, datatypes }) => {
    fc.assert(
      fc.property(fc.record({ ...envelope, outputs: tensors(datatypes) }), (value) => {
        const decoded = decodeModelInferResponse(encodeModelInferResponse(compact(value) as InferResponse, { raw }));
        expect(decoded.modelName).toBe(value.modelName);
        expect(decoded.modelVersion).toBe(value.modelVersion);
        expect(decoded.id).toBe(value.id);
        expect(noParameters(decoded.parameters)).toBe(noParameters(value.parameters));
        expectSameTensors(decoded.outputs, value.outputs);
      }),
      { numRuns: 300 },
    );
  });

  it('answers raw requests with the bytes and sizes that KServe sends', () => {
    const outputs: Tensor[] = [
      fp32('fp32', [6.8, 2.8, 4.8, 1.4, 6, 3.4, 4.5, 1.6]),
      { name: 'int32', datatype: 'INT32', shape: [8], data: new Int32Array([6, 2, 4, 1, 6, 3, 4, 1]) },
      { name: 'bytes', datatype: 'BYTES', shape: [8], data: bytesFromStrings(['cat', 'dog', 'wolf', 'tiger', 'lion', 'ant', 'bee', 'ox']) },
      { name: 'uint8', datatype: 'UINT8', shape: [8], data: new Uint8Array([6, 2, 4, 1, 6, 3, 4, 1]) },
      { name: 'bool', datatype: 'BOOL', shape: [8], data: new Uint8Array([1, 0, 1, 0, 1, 0, 1, 0]) },
    ];
    const message = plainResponse(encodeModelInferResponse({ modelName: 'm', id: '123', outputs }, { raw: true }));
    expect(message.outputs.map((output) => output.parameters['binary_data_size']?.['int64_param'])).toEqual(['32', '32', '59', '8', '8']);
    expect(message.outputs.every((output) => output.contents === null)).toBe(true);
    expect(message.raw_output_contents[0]?.toString('base64')).toBe('mpnZQDMzM0CamZlAMzOzPwAAwECamVlAAACQQM3MzD8=');
    expect(message.raw_output_contents[4]?.toString('base64')).toBe('AQABAAEAAQA=');
  });

  it('with an FP16 output is raw as a whole', () => {
    const half = tensorFromBytes('FP16', [8], Buffer.from('zUaaQc1Emj0ARs1CgERmPg==', 'base64'), 'output');
    const outputs: Tensor[] = [{ name: 'fp16', datatype: 'FP16', shape: [8], data: half }, fp32('fp32', [1, 2, 3, 4, 5, 6, 7, 8])];
    const message = plainResponse(encodeModelInferResponse({ modelName: 'm', outputs }, { raw: false }));
    expect(message.raw_output_contents[0]?.toString('base64')).toBe('zUaaQc1Emj0ARs1CgERmPg==');
    expect(message.outputs.map((output) => output.parameters['binary_data_size']?.['int64_param'])).toEqual(['16', '32']);
  });

  it('to a typed request has typed contents alone', () => {
    const message = plainResponse(encodeModelInferResponse({ modelName: 'm', outputs: [fp32('y', [1, 2])] }, { raw: false }));
    expect(message.raw_output_contents).toEqual([]);
    expect(message.outputs[0]?.contents?.['fp32_contents']).toEqual([1, 2]);
    expect(message.outputs[0]?.parameters).toEqual({});
  });

  it('keeps the parameters of its outputs beside binary_data_size', () => {
    const output: Tensor = { ...fp32('y', [1]), parameters: createParameters([['scale', 0.5]]) };
    const message = plainResponse(encodeModelInferResponse({ modelName: 'm', outputs: [output] }, { raw: true }));
    expect(message.outputs[0]?.parameters).toMatchObject({ scale: { double_param: 0.5 }, binary_data_size: { int64_param: '4' } });
  });

  it('written by protobufjs decodes to its tensors', () => {
    const bytes = wireResponse({
      model_name: 'm',
      model_version: '3',
      outputs: [{ name: 'y', datatype: 'INT64', shape: ['2'], contents: { int64_contents: ['9007199254740993', '-1'] } }],
    });
    expect(decodeModelInferResponse(bytes)).toEqual({
      modelName: 'm',
      modelVersion: '3',
      outputs: [{ name: 'y', datatype: 'INT64', shape: [2], data: new BigInt64Array([9007199254740993n, -1n]) }],
    });
  });

  it('with a parameter that 64 bits cannot hold is refused', () => {
    const response = { modelName: 'm', outputs: [], parameters: createParameters([['n', 2n ** 64n]]) };
    expect(() => encodeModelInferResponse(response, { raw: false })).toThrow('Cannot encode parameter "n": expected an integer of 64 bits');
  });
});
