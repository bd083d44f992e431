import { describe, expect, expectTypeOf, it } from 'vitest';
import { defineHandler, HandlerRequest, tensor, type HandlerResponse } from '../../../src/handler/index.ts';

/** As `kserve-node types` writes it. */
interface Digits {
  readonly inputs: { readonly input: { readonly datatype: 'FP32'; readonly shape: readonly [-1, 64] } };
  readonly outputs: {
    readonly label: { readonly datatype: 'INT64'; readonly shape: readonly [-1] };
    readonly probabilities: { readonly datatype: 'FP32'; readonly shape: readonly [-1, 10] };
  };
}

/** Never called: the compiler is the test. */
const checked: readonly ((...given: never) => unknown)[] = [
  () => defineHandler<Digits>({ preprocess: () => [tensor('input', 'FP32', [1, 64], new Float32Array(64))] }),
  () =>
    defineHandler<Digits>({
      preprocess: () => Promise.resolve({ inputs: [tensor('input', 'FP32', [1, 64], new Float32Array(64))], outputs: ['label'] }),
    }),
  () => defineHandler<Digits>({ preprocess: (request) => request }),
  () => defineHandler<Digits>({ preprocess: () => undefined }),
  // @ts-expect-error: a misspelled input
  () => defineHandler<Digits>({ preprocess: () => [tensor('inputs', 'FP32', [1, 64], new Float32Array(64))] }),
  // @ts-expect-error: another datatype
  () => defineHandler<Digits>({ preprocess: () => [tensor('input', 'FP64', [1, 64], new Float64Array(64))] }),
  // @ts-expect-error: a misnamed method
  () => defineHandler<Digits>({ pre_process: () => undefined }),
  // @ts-expect-error: no answer
  () => defineHandler<Digits>({ postprocess: () => 'seven' }),
  () =>
    defineHandler<Digits>({
      predict: async (request, next) => {
        expectTypeOf(request.input('input')).toEqualTypeOf<Float32Array>();
        // @ts-expect-error: a misspelled input
        request.input('inputs');
        // @ts-expect-error: another datatype
        request.input('input', 'INT64');
        // @ts-expect-error: a misspelled input
        await next([tensor('pixels', 'FP32', [1, 64], new Float32Array(64))]);
        const response = await next([tensor('input', 'FP32', [1, 64], request.input('input'))]);
        expectTypeOf(response.output('label')).toEqualTypeOf<BigInt64Array>();
        expectTypeOf(response.output('probabilities', 'FP32')).toEqualTypeOf<Float32Array>();
        // @ts-expect-error: a misspelled output
        response.output('labels');
        return response;
      },
    }),
  () =>
    defineHandler({
      preprocess: (request) => {
        expectTypeOf(request.input('anything', 'INT64')).toEqualTypeOf<BigInt64Array>();
        return request.inputs;
      },
      async *predict(request, next) {
        yield [(await next(request)).tensor('y')];
      },
    }),
  (response: HandlerResponse<Digits>) => {
    expectTypeOf(response.tensor('label').data).toEqualTypeOf<BigInt64Array>();
  },
];

describe('the types of a handler', () => {
  it('are checked by the compiler', () => {
    expect(checked).not.toEqual([]);
  });

  it('keeps name and datatype for the compiler', () => {
    const made = tensor('input', 'INT64', [2], [1n, 2n]);
    expectTypeOf(made.name).toEqualTypeOf<'input'>();
    expectTypeOf(made.data).toEqualTypeOf<BigInt64Array>();
    expect(new HandlerRequest({ modelName: 'm', inputs: [made] }).input('input', 'INT64')).toBe(made.data);
  });
});
