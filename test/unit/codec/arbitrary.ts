import fc from 'fast-check';
import { DATATYPES, elementBytes, type Datatype } from '../../../src/core/datatype.ts';
import type { InferRequest } from '../../../src/core/infer.ts';
import { bytesFromElements, tensorFromBytes, tensorToBytes } from '../../../src/core/tensor-bytes.ts';
import { createParameters, elementCount, type Parameters, type Tensor } from '../../../src/core/tensor.ts';

const shape = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 });
const name = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 8 }), fc.constantFrom('__proto__', 'constructor', 'toString', 'a"b\\c\n'));

export const parameters: fc.Arbitrary<Parameters> = fc
  .uniqueArray(
    fc.tuple(
      name.filter((key) => key !== 'binary_data_size' && key !== 'binary_data' && key !== 'binary_data_output'),
      fc.oneof(
        fc.string({ unit: 'grapheme' }),
        fc.boolean(),
        fc.double({ noNaN: true, noDefaultInfinity: true, noInteger: true }),
        fc.maxSafeInteger(),
        fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }),
        fc.bigInt({ min: -(2n ** 63n), max: -(2n ** 53n) }),
      ),
    ),
    { selector: ([key]) => key, maxLength: 3 },
  )
  .map((entries) => createParameters(entries));

/** A quiet NaN in place of any other, whose bits JSON cannot carry. */
function withPlainNaN(datatype: Datatype, bytes: Uint8Array): Uint8Array {
  if (datatype === 'FP32')
    for (let at = 0; at < bytes.length; at += 4) if ((bytes[at + 3]! & 0x7f) === 0x7f && bytes[at + 2]! >= 0x80) bytes.set([0, 0, 0xc0, 0x7f], at);
  if (datatype === 'FP64')
    for (let at = 0; at < bytes.length; at += 8)
      if ((bytes[at + 7]! & 0x7f) === 0x7f && bytes[at + 6]! >= 0xf0) bytes.set([0, 0, 0, 0, 0, 0, 0xf8, 0x7f], at);
  if (datatype === 'FP16') for (let at = 0; at < bytes.length; at += 2) if ((bytes[at + 1]! & 0x7f) >= 0x7c) bytes.set([0, 0x7e], at);
  if (datatype === 'BF16')
    for (let at = 0; at < bytes.length; at += 2) if ((bytes[at + 1]! & 0x7f) === 0x7f && bytes[at]! >= 0x80) bytes.set([0xc0, 0x7f], at);
  return bytes;
}

export function tensor(options: { readonly isText: boolean }): fc.Arbitrary<Omit<Tensor, 'name'>> {
  return fc
    .tuple(fc.constantFrom(...DATATYPES), shape, fc.option(parameters))
    .chain(([datatype, dims, given]): fc.Arbitrary<Omit<Tensor, 'name'>> => {
      const count = elementCount(dims, 'test tensor');
      const rest = given === null ? {} : { parameters: given };
      if (datatype === 'BYTES') {
        const element = options.isText
          ? fc.string({ unit: 'grapheme' }).map((text): Uint8Array => Buffer.from(text))
          : fc.uint8Array({ maxLength: 12 });
        return fc
          .array(element, { minLength: count, maxLength: count })
          .map((elements) => ({ datatype, shape: dims, data: bytesFromElements(elements), ...rest }));
      }
      const size = count * elementBytes(datatype);
      return fc.uint8Array({ minLength: size, maxLength: size, max: datatype === 'BOOL' ? 1 : 255 }).map((random) => {
        const bytes = options.isText ? withPlainNaN(datatype, random) : random;
        return { datatype, shape: dims, data: tensorFromBytes(datatype, dims, bytes, 'test tensor'), ...rest };
      });
    });
}

export function tensors(options: { readonly isText: boolean }): fc.Arbitrary<Tensor[]> {
  return fc
    .uniqueArray(fc.tuple(name, tensor(options)), { selector: ([key]) => key, maxLength: 4 })
    .map((list) => list.map(([key, fields]) => ({ name: key, ...fields })));
}

export function request(options: { readonly isText: boolean }): fc.Arbitrary<InferRequest> {
  return fc
    .record(
      {
        inputs: tensors(options),
        id: fc.string({ unit: 'grapheme' }),
        parameters,
        outputs: fc.uniqueArray(name).map((names) => names.map((key) => ({ name: key }))),
      },
      { requiredKeys: ['inputs'] },
    )
    .map((fields) => ({ modelName: 'm', ...fields }));
}

/** A comparable form: data as hexadecimal bytes, empty and absent parameters alike. */
export function comparable(tensorList: readonly Tensor[]): unknown {
  return tensorList.map(({ name: key, datatype, shape: dims, data, parameters: given }) => ({
    name: key,
    datatype,
    shape: dims,
    data: Buffer.from(tensorToBytes(data)).toString('hex'),
    parameters: Object.entries(given ?? {}),
  }));
}
