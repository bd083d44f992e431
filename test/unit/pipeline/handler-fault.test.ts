import { describe, expect, it } from 'vitest';
import { ServingError } from '../../../src/core/errors.ts';
import type { Tensor } from '../../../src/core/tensor.ts';
import { InvalidRequest, reply, tensor, type Handler } from '../../../src/handler/index.ts';
import { answerOf, errorOf, fakeSession, loadFake, member, rows, run } from './fake-handler.ts';

describe('the faults of a handler', () => {
  const failing = (method: 'preprocess' | 'predict' | 'postprocess' | 'explain', work: () => never): Handler => ({ [method]: work });
  const boom = (): never => {
    throw new RangeError('boom\nsecond line');
  };

  it.each(['preprocess', 'predict', 'postprocess', 'explain'] as const)(
    'names file and method when %s throws, and keeps the stack to itself',
    async (method) => {
      const error = await errorOf(await loadFake(failing(method, boom)), { verb: method === 'explain' ? 'explain' : 'infer' });
      expect(error.reason).toBe('handler_failed');
      expect(error.message).toBe(`Handler handler.ts failed in ${method}: RangeError: boom`);
      expect((error.cause as Error).stack).toContain('handler-fault.test.ts');
    },
  );

  it('leaves the other members of the batch alone', async () => {
    const pipeline = await loadFake({
      preprocess: (request) => {
        if (request.id === 'bad') boom();
        return request;
      },
    });
    const { responses } = await run(pipeline, member(), member({ id: 'bad' }), member());
    expect(responses.map(({ ok }) => ok)).toEqual([true, false, true]);
  });

  it('gives the client the 4xx that the handler asks for', async () => {
    const asks = async (error: Error): Promise<string> => {
      const got = await errorOf(
        await loadFake({
          preprocess: () => {
            throw error;
          },
        }),
      );
      return `${got.reason}: ${got.message}`;
    };
    expect(await asks(new InvalidRequest('too dark'))).toBe('invalid_request: too dark');
    expect(await asks(new InvalidRequest('not yours', { reason: 'permission_denied' }))).toBe('permission_denied: not yours');
    expect(await asks(new ServingError('overloaded', 'later'))).toBe('overloaded: later');
  });

  it.each([
    ['text', 'nope', 'it returned text "nope", expected tensors, { inputs: [tensor(…)] } or the request'],
    ['a number of things', [1], 'inputs[0] must be a tensor, got 1: make one with tensor(name, datatype, shape, elements)'],
    ['null', null, 'it returned null, expected tensors'],
    [
      'an array as data',
      [{ name: 'x', datatype: 'FP32', shape: [1, 2], data: [1, 2] }],
      'tensor "x" must hold data of FP32 [1,2], got an array of 1',
    ],
    ['data of another datatype', [{ name: 'x', datatype: 'INT32', shape: [1, 2], data: new Float32Array(2) }], 'tensor "x" must hold data of INT32'],
    [
      'an unknown datatype',
      [{ name: 'x', datatype: 'FLOAT', shape: [1], data: new Float32Array(1) }],
      'tensor "x" must have a datatype such as FP32, got text "FLOAT"',
    ],
    ['a shape that does not fit', [{ name: 'x', datatype: 'FP32', shape: [2, 2], data: new Float32Array(2) }], 'shape [2,2] has 4 elements, got 2'],
    ['a fractional shape', [{ name: 'x', datatype: 'FP32', shape: [0.5], data: new Float32Array(2) }], 'Cannot read shape of tensor "x"'],
    ['one name twice', [rows('x', [1, 2]), rows('x', [1, 2])], 'inputs must have names of their own, got "x" twice'],
    ['a tensor the model does not have', [rows('pixels', [1, 2])], 'Unexpected input "pixels" for model "m": expected "x"'],
    [
      'another rank than the model takes',
      [{ name: 'x', datatype: 'FP32', shape: [2], data: new Float32Array(2) }],
      'expected FP32 [-1,2], got FP32 [2]',
    ],
    ['no tensors', [], 'Missing input "x" for model "m"'],
    ['an output the model does not have', { inputs: [rows('x', [1, 2])], outputs: ['w'] }, 'Unexpected output "w" for model "m": expected "y", "z"'],
    ['parameters that are none', { inputs: [rows('x', [1, 2])], parameters: { a: {} } }, 'parameters.a must be text'],
  ])('refuses %s from preprocess and says what it expected', async (_what, returned, expected) => {
    const session = fakeSession();
    const error = await errorOf(await loadFake({ preprocess: () => returned as never }, { session }));
    expect(error.reason).toBe('handler_failed');
    expect(error.message).toContain('Handler handler.ts failed in preprocess: ');
    expect(error.message).toContain(expected);
    expect(session.calls).toEqual([]);
  });

  it.each([
    ['nothing', undefined, 'it answered undefined, expected tensors, { outputs: [tensor(…)] } or reply(value)'],
    ['an object', { label: 7 }, 'it answered an object with "label", expected'],
    ['a body that is none', { body: 'text' }, 'body must be { contentType, bytes }'],
    ['outputs that are none', { outputs: {} }, 'outputs must be an array of tensors, got an empty object'],
  ])('refuses %s from postprocess', async (_what, returned, expected) => {
    const error = await errorOf(await loadFake({ postprocess: () => returned as never }));
    expect(`${error.reason} ${error.message}`).toContain('handler_failed Handler handler.ts failed in postprocess: ');
    expect(error.message).toContain(expected);
  });

  it('blames the client for its own tensors, and the handler once it declares others', async () => {
    const inputs = [rows('w', [1, 2])];
    expect((await errorOf(await loadFake({}), { inputs })).reason).toBe('invalid_request');
    expect((await errorOf(await loadFake({ inputs: [{ name: 'w', datatype: 'FP32', shape: [-1, 2] }] }), { inputs })).reason).toBe('handler_failed');
  });

  it('blames the handler for tensors that only the engine refuses', async () => {
    const session = fakeSession(() => Promise.reject(new ServingError('invalid_request', 'Cannot use input "x": odd rows')));
    expect((await errorOf(await loadFake({}, { session }))).reason).toBe('invalid_request');
    const error = await errorOf(await loadFake({ preprocess: ({ inputs }) => [...inputs] }, { session }));
    expect(error.message).toBe('Handler handler.ts failed in preprocess: Cannot use input "x": odd rows');
  });

  it('says so when a body goes on to a model, or when next has no model', async () => {
    const body = { contentType: 'image/png', bytes: new Uint8Array(3) };
    expect((await errorOf(await loadFake({ accepts: ['image/png'] }), { inputs: [], body })).message).toContain(
      'a body of image/png went on to model "m", which takes tensors',
    );
    const alone = await loadFake({ predict: (request, next) => next(request) }, { session: null });
    expect((await errorOf(alone)).message).toBe(
      'Handler handler.ts failed in predict: model "m" has no model file to run: answer from predict without next',
    );
  });

  it('checks answers against the outputs that it declares', async () => {
    const outputs = [{ name: 'label', datatype: 'BYTES', shape: [-1] }] as const;
    const declared = async (answer: readonly Tensor[]): Promise<string> =>
      (await errorOf(await loadFake({ outputs, postprocess: () => answer }))).message;
    expect(await declared([rows('y', [1, 2])])).toContain('it answered output "y", its outputs declare "label": rename it or declare it');
    expect(await declared([tensor('label', 'FP32', [1], [1])])).toContain('it answered output "label" as FP32 [1], its outputs declare BYTES [-1]');
    expect(await declared([])).toContain('it did not answer output "label"');
    expect((await answerOf(await loadFake({ outputs, postprocess: () => [tensor('label', 'BYTES', [1], ['a'])] }))).outputs).toHaveLength(1);
    expect((await answerOf(await loadFake({ outputs, postprocess: () => reply('free') }))).body).toBeDefined();
  });

  it('names the tensor when a reader asks for one that is not there', async () => {
    const wrongOutput = await errorOf(await loadFake({ postprocess: (response) => [response.tensor('scores')] }));
    expect(wrongOutput.message).toBe('Handler handler.ts failed in postprocess: Cannot read output "scores": the response of model "m" has "y", "z"');
    const wrongInput = await errorOf(await loadFake({ preprocess: (request) => [request.tensor('image')] }));
    expect(`${wrongInput.reason}: ${wrongInput.message}`).toBe('invalid_request: Cannot read input "image": the request has "x"');
  });

  it("refuses response headers that are the transport's own or could not be sent", async () => {
    const withHeader = async (name: string, value: unknown): Promise<string> =>
      (
        await errorOf(
          await loadFake({
            postprocess: (response, ctx) => {
              ctx.responseHeaders[name] = value as string;
              return response;
            },
          }),
        )
      ).message;
    expect(await withHeader('Content-Length', '3')).toContain(
      'failed in postprocess: ctx.responseHeaders has "Content-Length", which the server sets itself',
    );
    expect(await withHeader('x y', '3')).toContain('expected the name of a header');
    expect(await withHeader('x', 'a\r\nset-cookie: b')).toContain('must be text of one line');
    expect(await withHeader('x', 3)).toContain('got 3');
  });
});
