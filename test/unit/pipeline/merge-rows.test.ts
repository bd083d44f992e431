import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DATATYPES, type Datatype } from '../../../src/core/datatype.ts';
import { bytesFromElements, tensorToBytes } from '../../../src/core/tensor-bytes.ts';
import { allocateData, isBytesData, type Tensor, type TensorData } from '../../../src/core/tensor.ts';
import { mergeRows, splitRows, takeRows } from '../../../src/pipeline/merge-rows.ts';

interface Plan {
  readonly datatype: Datatype;
  readonly trailing: readonly number[];
  readonly rows: readonly number[];
  readonly seed: number;
}

const PLAN: fc.Arbitrary<Plan> = fc.record({
  datatype: fc.constantFrom(...DATATYPES),
  trailing: fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 2 }),
  rows: fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 6 }),
  seed: fc.nat(255),
});

function dataOf(datatype: Datatype, count: number, seed: number): TensorData {
  if (datatype === 'BYTES') return bytesFromElements(Array.from({ length: count }, (_, i) => new Uint8Array((seed + i) % 5).fill(seed + i)));
  const data = allocateData(datatype, count);
  new Uint8Array(data.buffer).forEach((_, i, bytes) => (bytes[i] = datatype === 'BOOL' ? (seed + i) % 2 : (seed * 7 + i * 13) % 251));
  return data;
}

function requestsOf({ datatype, trailing, rows, seed }: Plan): Tensor[][] {
  return rows.map((count, i) => {
    const shape = [count, ...trailing];
    const length = shape.reduce((product, size) => product * size, 1);
    return [{ name: 'x', datatype, shape, data: dataOf(datatype, length, seed + 31 * i) }];
  });
}

const wireOf = ({ data }: Tensor): number[] => [...tensorToBytes(data)];
const bufferOf = ({ data }: Tensor): ArrayBufferLike => (isBytesData(data) ? data.bytes.buffer : data.buffer);

describe('merging rows and handing them back', () => {
  it.each([false, true])('gives each request exactly what was its own, for every datatype, without rows too (copied: %s)', (isCopied) => {
    fc.assert(
      fc.property(PLAN, (plan) => {
        const requests = requestsOf(plan);
        const [merged] = mergeRows(requests);
        expect(merged?.shape).toEqual([plan.rows.reduce((sum, count) => sum + count, 0), ...plan.trailing]);
        const parts = splitRows([merged!], plan.rows, isCopied);
        expect(parts.map(([part]) => [part!.shape, wireOf(part!)])).toEqual(requests.map(([part]) => [part!.shape, wireOf(part!)]));
        for (const [part] of parts)
          expect(part!.data).toHaveProperty(isBytesData(part!.data) ? 'offsets.0' : 'length', isBytesData(part!.data) ? 0 : part!.data.length);
      }),
    );
  });

  it('hands back views of the one run, and with user code memory that holds nothing of others', () => {
    const output: Tensor = { name: 'y', datatype: 'FP32', shape: [3, 2], data: Float32Array.of(1, 2, 3, 4, 5, 6) };
    const [views, copies] = [false, true].map((isCopied) => splitRows([output], [1, 2], isCopied).map(([part]) => part!));
    expect(views!.every((part) => bufferOf(part) === bufferOf(output))).toBe(true);
    expect(copies!.map((part) => bufferOf(part).byteLength)).toEqual([8, 16]);
  });

  it('takes rows of texts whose bytes begin in the middle of a buffer', () => {
    const texts = takeRows(
      { name: 's', datatype: 'BYTES', shape: [3], data: bytesFromElements(['a', 'bc', ''].map((text) => Buffer.from(text))) },
      1,
      2,
      false,
    );
    const [merged] = mergeRows([[texts], [texts]]);
    expect(wireOf(merged!)).toEqual([...wireOf(texts), ...wireOf(texts)]);
  });

  it.each([
    ['rows are missing', [2, 2]],
    ['there is no first dimension', []],
  ])('refuses an output of which %s, and names it', (_, shape) => {
    const output: Tensor = { name: 'y', datatype: 'FP32', shape, data: new Float32Array(shape.reduce((product, size) => product * size, 1)) };
    expect(() => splitRows([output], [1, 2], false)).toThrow(`Cannot hand back output "y" of 3 rows: its shape is [${shape.join()}]`);
  });

  it('keeps the parameters of an output with every part', () => {
    const parameters = { keys: '["a"]' };
    const output: Tensor = { name: 'y', datatype: 'INT64', shape: [2], data: BigInt64Array.of(1n, 2n), parameters };
    expect(splitRows([output], [1, 1], false).map(([part]) => part!.parameters)).toEqual([parameters, parameters]);
  });
});
