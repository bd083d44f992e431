import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { BatchResult } from '../../../src/core/batch.ts';
import { DATATYPES, elementBytes, type Datatype } from '../../../src/core/datatype.ts';
import { ServingError } from '../../../src/core/errors.ts';
import type { InferRequest } from '../../../src/core/infer.ts';
import { bytesFromElements } from '../../../src/core/tensor-bytes.ts';
import { createParameters, viewData, type Tensor, type TensorData } from '../../../src/core/tensor.ts';
import { decodeBatch, decodeError, decodeResult, encodeBatch, encodeError, encodeResult, type Encoded } from '../../../src/executor/batch-codec.ts';
import { encodeFrame, FrameReader, type Frame } from '../../../src/executor/frame.ts';

const parameterValue = fc.oneof(fc.string({ unit: 'binary' }), fc.double(), fc.boolean(), fc.bigInt({ min: -(2n ** 64n), max: 2n ** 64n }));
const key = fc.oneof(fc.string(), fc.constantFrom('__proto__', 'constructor', 'toString'));
const parameters = fc.array(fc.tuple(key, parameterValue), { maxLength: 3 }).map(createParameters);
const shape = fc.array(fc.nat(3), { maxLength: 3 });

function dataFor(datatype: Datatype, count: number): fc.Arbitrary<TensorData> {
  if (datatype === 'BYTES') return fc.array(fc.uint8Array({ maxLength: 9 }), { minLength: count, maxLength: count }).map(bytesFromElements);
  const length = count * elementBytes(datatype);
  return fc.uint8Array({ minLength: length, maxLength: length }).map((bytes) => viewData(datatype, new Uint8Array(bytes).buffer, 0, count));
}

const tensor: fc.Arbitrary<Tensor> = fc.tuple(fc.string(), fc.constantFrom(...DATATYPES), shape).chain(([name, datatype, shape]) =>
  fc
    .tuple(
      dataFor(
        datatype,
        shape.reduce((product, size) => product * size, 1),
      ),
      fc.option(parameters, { nil: undefined }),
    )
    .map(([data, parameters]) => ({
      name,
      datatype,
      shape,
      data,
      ...(parameters === undefined ? undefined : { parameters }),
    })),
);

const request: fc.Arbitrary<InferRequest> = fc.record(
  {
    modelName: fc.string(),
    modelVersion: fc.string(),
    id: fc.string(),
    parameters,
    inputs: fc.array(tensor, { maxLength: 3 }),
    outputs: fc.array(fc.record({ name: fc.string(), parameters }, { requiredKeys: ['name'] }), { maxLength: 2 }),
  },
  { requiredKeys: ['modelName', 'inputs'] },
);

const signal = new AbortController().signal;

function cross({ metadata, tensors }: Encoded<unknown>): Frame {
  const frames: Frame[] = [];
  new FrameReader().push(Buffer.concat(encodeFrame({ kind: 'run', model: 1, request: 1 }, metadata, tensors)), (frame) => frames.push(frame));
  return frames[0]!;
}

/** Bytes are compared by value; which buffer they lie in differs by design. */
function comparable(value: unknown): unknown {
  if (ArrayBuffer.isView(value)) return [value.constructor.name, ...new Uint8Array(value.buffer, value.byteOffset, value.byteLength)];
  if (Array.isArray(value)) return value.map(comparable);
  if (typeof value !== 'object' || value === null) return value;
  return Object.entries(value)
    .map(([name, inner]) => [name, comparable(inner)])
    .sort((x, y) => (String(x[0]) < String(y[0]) ? -1 : 1));
}

describe('batches and results', () => {
  test('requests of any datatype, with any parameters, come out of a frame as they went in', () => {
    fc.assert(
      fc.property(fc.array(request, { maxLength: 3 }), (requests) => {
        const frame = cross(encodeBatch(requests.map((request) => ({ request, signal }))));
        const decoded = decodeBatch(frame, () => signal);
        expect(comparable(decoded.members.map(({ request }) => request))).toEqual(comparable(requests));
      }),
      { numRuns: 300 },
    );
  });

  test('answers and errors come out of a frame as they went in, in their places', () => {
    const outputs: Tensor[] = [{ name: 'y', datatype: 'FP32', shape: [2], data: new Float32Array([NaN, -0]) }];
    const result: BatchResult = {
      responses: [
        { ok: false, error: new ServingError('invalid_request', 'no', { details: { count: 3n } }) },
        { ok: true, value: { modelName: 'm', modelVersion: '1', outputs } },
      ],
      timings: { preprocessMs: 0.5, predictMs: 2, postprocessMs: 0 },
    };
    const decoded = decodeResult(cross(encodeResult(result)), 2);
    expect(decoded.timings).toEqual(result.timings);
    expect(decoded.responses[0]).toMatchObject({ ok: false, error: { reason: 'invalid_request', message: 'no', details: { count: '3' } } });
    expect(decoded.responses[1]).toEqual(result.responses[1]);
  });

  test('tensors are views of the one buffer of their frame', () => {
    const data = new Float64Array([1, 2, 3]);
    const one: InferRequest = { modelName: 'm', inputs: [{ name: 'x', datatype: 'FP64', shape: [3], data }] };
    const frame = cross(
      encodeBatch([
        { request: one, signal },
        { request: one, signal },
      ]),
    );
    const { members } = decodeBatch(frame, () => signal);
    for (const { request } of members) expect((request.inputs[0]!.data as Float64Array).buffer).toBe(frame.body);
  });

  test('a BYTES tensor that is part of a larger buffer crosses alone', () => {
    const whole = bytesFromElements([Buffer.from('skip'), Buffer.from('a'), Buffer.from('bc')]);
    const data = { bytes: whole.bytes, offsets: whole.offsets.subarray(1) };
    const one: InferRequest = { modelName: 'm', inputs: [{ name: 'x', datatype: 'BYTES', shape: [2], data }] };
    const { members } = decodeBatch(cross(encodeBatch([{ request: one, signal }])), () => signal);
    expect(comparable(members[0]!.request.inputs[0]!.data)).toEqual(comparable(bytesFromElements([Buffer.from('a'), Buffer.from('bc')])));
  });

  const good = { name: 'y', datatype: 'FP32', shape: [1] };
  const reply = (tensors: unknown, bytes = 4): Frame =>
    cross({
      metadata: { timings: { preprocessMs: 0, predictMs: 0, postprocessMs: 0 }, responses: [{ modelName: 'm', tensors }] },
      tensors: [new Uint8Array(bytes)],
    });

  test('a well-formed reply is read (so that the refusals below mean something)', () => {
    expect(decodeResult(reply([good]), 1).responses).toMatchObject([{ ok: true }]);
  });

  test.each([
    ['no tensors', undefined],
    ['a tensor that is no record', [7]],
    ['an unknown datatype', [{ ...good, datatype: 'FP8' }]],
    ['a datatype of the prototype', [{ ...good, datatype: 'constructor' }]],
    ['a negative dimension', [{ ...good, shape: [-1] }]],
    ['a shape beyond the frame', [{ ...good, shape: [1_000_000] }]],
    ['a shape that overflows', [{ ...good, shape: [2 ** 31, 2 ** 31] }]],
    ['bytes left over', []],
    ['a negative length', [{ ...good, datatype: 'BYTES', shape: [0], bytes: -8 }]],
    ['a length beyond the frame', [{ ...good, datatype: 'BYTES', bytes: 1e9 }]],
    ['more elements than bytes', [{ ...good, datatype: 'BYTES', shape: [1e9], bytes: 4 }]],
    ['parameters that are no pairs', [{ ...good, parameters: [1] }]],
    ['a parameter that is no value', [{ ...good, parameters: [['a', { i: 'x' }]] }]],
  ])('a reply with %s is refused', (_what, tensors) => {
    expect(() => decodeResult(reply(tensors), 1)).toThrow(/^Cannot read /);
  });

  test('a BYTES length that leads outside is refused', () => {
    const bytes = new Uint8Array(8);
    bytes[0] = 200;
    const metadata = {
      timings: { preprocessMs: 0, predictMs: 0, postprocessMs: 0 },
      responses: [{ modelName: 'm', tensors: [{ name: 'y', datatype: 'BYTES', shape: [1], bytes: 8 }] }],
    };
    expect(() => decodeResult(cross({ metadata, tensors: [bytes] }), 1)).toThrow('malformed BYTES tensor');
  });

  test('a reply to another number of requests is refused', () => {
    expect(() => decodeResult(reply([good]), 2)).toThrow('1 answers for 2 requests');
  });
});

describe('errors between processes', () => {
  test('keep reason, message and details, and tell the cause to the log alone', () => {
    const error = new ServingError('model_failed', 'failed', { details: { node: 'Conv_1' }, cause: new TypeError('deep') });
    const decoded = decodeError(JSON.parse(JSON.stringify(encodeError(error))));
    expect(decoded).toMatchObject({ reason: 'model_failed', message: 'failed', details: { node: 'Conv_1' } });
    expect(decoded.details?.['cause']).toMatch('TypeError: deep');
  });

  test('with a reason that the table does not have become internal', () => {
    expect(decodeError({ reason: 'constructor', message: 'm' }).reason).toBe('internal');
  });

  test('with details that JSON cannot hold still cross', () => {
    const loop: Record<string, unknown> = {};
    loop['self'] = loop;
    expect(encodeError(new ServingError('internal', 'm', { details: loop })).details).toMatchObject({
      unreadable: expect.stringContaining('circular') as string,
    });
  });
});
