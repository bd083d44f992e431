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
import { memberOf } from './member.ts';

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
  new FrameReader((frame) => frames.push(frame)).push(Buffer.concat(encodeFrame({ kind: 'run', model: 1, request: 1 }, metadata, tensors)));
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
        const frame = cross(
          encodeBatch(
            requests.map((one) => memberOf(one, signal)),
            false,
          ),
        );
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

  test('what travels beside tensors crosses for models that want it, and costs the others nothing', () => {
    const one: InferRequest = {
      modelName: 'm',
      inputs: [{ name: 'x', datatype: 'INT8', shape: [3], data: new Int8Array([1, 2, 3]) }],
      body: { contentType: 'image/png', bytes: Buffer.from('not a multiple of eight') },
    };
    const headers = { 'x-a': 'ä', absent: undefined };
    const member = memberOf(one, signal, { verb: 'explain', id: 'r1', protocol: 'v1-rest', headers, deadline: performance.now() + 60_000 });
    const other = new AbortController().signal;
    const { members } = decodeBatch(cross(encodeBatch([member, member], true)), () => other);
    for (const { verb, ctx, request, signal } of members) {
      expect({ verb, id: ctx.id, protocol: ctx.protocol, headers: ctx.headers }).toEqual({
        verb: 'explain',
        id: 'r1',
        protocol: 'v1-rest',
        headers: { 'x-a': 'ä' },
      });
      expect(signal).toBe(other);
      expect(ctx.signal).toBe(other);
      expect(ctx.deadline - performance.now()).toBeGreaterThan(30_000);
      expect(ctx.deadline - performance.now()).toBeLessThanOrEqual(60_000);
      expect(request.body?.contentType).toBe('image/png');
      expect(Buffer.from(request.body!.bytes).toString()).toBe('not a multiple of eight');
      expect(request.inputs[0]?.data).toEqual(new Int8Array([1, 2, 3]));
    }
    const late = decodeBatch(cross(encodeBatch([memberOf(one, signal, { deadline: 0 })], true)), () => signal).members[0];
    expect(late!.ctx.deadline).toBeLessThanOrEqual(performance.now());
    expect(decodeBatch(cross(encodeBatch([memberOf(one, signal)], true)), () => signal).members[0]?.ctx.deadline).toBe(Infinity);
    expect(Object.keys(encodeBatch([memberOf({ modelName: 'm', inputs: [] }, signal)], false).metadata.members[0]!)).toEqual([
      'modelName',
      'tensors',
    ]);
  });

  test('bodies, headers, measurements and wear come out of a frame as they went in', () => {
    const counted = { kind: 'counter', name: 'n', help: 'h', labels: { a: 'b' }, value: 2 } as const;
    const observed = { kind: 'histogram', name: 'o', help: '', labels: {}, value: 0.5, buckets: [1, 2] } as const;
    const result: BatchResult = {
      responses: [
        { ok: true, value: { modelName: 'm', outputs: [], body: { contentType: 'text/csv', bytes: Buffer.from('1,2\n') }, headers: { 'x-b': 'c' } } },
        { ok: true, value: { modelName: 'm', outputs: [{ name: 'y', datatype: 'BOOL', shape: [1], data: new Uint8Array([1]) }] } },
      ],
      timings: { preprocessMs: 0, predictMs: 0, postprocessMs: 0, explainMs: 7 },
      measurements: [counted, { ...counted, value: NaN }, observed],
      isWornOut: true,
    };
    const decoded = decodeResult(cross(encodeResult(result)), 2);
    expect(comparable(decoded.responses)).toEqual(
      comparable(
        result.responses.map((settled) =>
          settled.ok && settled.value.body !== undefined
            ? { ...settled, value: { ...settled.value, body: { ...settled.value.body, bytes: new Uint8Array(settled.value.body.bytes) } } }
            : settled,
        ),
      ),
    );
    expect(decoded.timings.explainMs).toBe(7);
    expect(decoded.measurements).toEqual([counted, observed]);
    expect(decoded.isWornOut).toBe(true);
  });

  test.each([
    { kind: 'gauge', name: 'n', help: '', labels: {}, value: 1 },
    { kind: 'counter', name: 1, help: '', labels: {}, value: 1 },
    { kind: 'counter', name: 'n', help: '', labels: null, value: 1 },
    { kind: 'counter', name: 'n', help: '', labels: {}, value: '1' },
  ])('a measurement that cannot be, as %j, is left out alone', (bad) => {
    const fine = { kind: 'counter', name: 'n', help: '', labels: {}, value: 1 };
    const metadata = { timings: { preprocessMs: 0, predictMs: 0, postprocessMs: 0 }, responses: [], measurements: [bad, fine] };
    expect(decodeResult(cross({ metadata, tensors: [] }), 0).measurements).toEqual([fine]);
  });

  test.each([
    { verb: 'train', id: '', protocol: 'v2-rest', headers: {} },
    { verb: 'infer', protocol: 'v2-rest', headers: {} },
    { verb: 'infer', id: '', protocol: 'v3', headers: {} },
    { verb: 'infer', id: '', protocol: 'v2-rest', headers: { a: 1 } },
    { verb: 'infer', id: '', protocol: 'v2-rest', headers: [] },
  ])('a context as %j is refused', (ctx) => {
    const frame = cross({ metadata: { members: [{ modelName: 'm', tensors: [], ctx }] }, tensors: [] });
    expect(() => decodeBatch(frame, () => signal)).toThrow(/malformed/);
  });

  test.each([
    [{ contentType: 'a/b', bytes: 9 }],
    [{ contentType: 'a/b', bytes: -1 }],
    [{ contentType: 'a/b', bytes: 0.5 }],
    [{ contentType: 1, bytes: 8 }],
    [{ contentType: 'a/b' }],
    [undefined],
  ])('a body %j before eight bytes is refused', (body) => {
    const frame = cross({ metadata: { members: [{ modelName: 'm', tensors: [], body }] }, tensors: [new Uint8Array(8)] });
    expect(() => decodeBatch(frame, () => signal)).toThrow(/malformed/);
  });

  test('tensors are views of the one buffer of their frame', () => {
    const data = new Float64Array([1, 2, 3]);
    const one: InferRequest = { modelName: 'm', inputs: [{ name: 'x', datatype: 'FP64', shape: [3], data }] };
    const frame = cross(encodeBatch([memberOf(one, signal), memberOf(one, signal)], false));
    const { members } = decodeBatch(frame, () => signal);
    for (const { request } of members) expect((request.inputs[0]!.data as Float64Array).buffer).toBe(frame.body);
  });

  test('a BYTES tensor that is part of a larger buffer crosses alone', () => {
    const whole = bytesFromElements([Buffer.from('skip'), Buffer.from('a'), Buffer.from('bc')]);
    const data = { bytes: whole.bytes, offsets: whole.offsets.subarray(1) };
    const one: InferRequest = { modelName: 'm', inputs: [{ name: 'x', datatype: 'BYTES', shape: [2], data }] };
    const { members } = decodeBatch(cross(encodeBatch([memberOf(one, signal)], false)), () => signal);
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
