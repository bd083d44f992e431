import fc from 'fast-check';
import { expect, test } from 'vitest';
import { runSteps } from '../../../src/core/steps.ts';
import { decodeInferRequest } from '../../../src/codec/index.ts';
import { decodePlainRequest } from '../../../src/codec/v2-json-plain.ts';

const options = { modelName: 'm', maxDepth: 16 };

/** What comes of a body: the request, or the message of the refusal. */
function outcome(body: string): unknown {
  try {
    return runSteps(decodeInferRequest(Buffer.from(body), options));
  } catch (error) {
    // Where the document ends differs.
    return (error as Error).message.replace(/at byte \d+, got the end$/, 'at the end');
  }
}

/** White space behind the document makes it too large to be taken as plain. */
const generally = (body: string): unknown => outcome(body + ' '.repeat(20_000));

const input = { name: 'x', datatype: 'FP32', shape: [1, 3], data: [1, -2.5, 3e-7] };

test('what most clients send is plain', () => {
  for (const request of [{ inputs: [input] }, { id: 'a', inputs: [input, { ...input, name: 'y', datatype: 'FP64' }] }]) {
    for (const body of [JSON.stringify(request), JSON.stringify(request, undefined, 1)]) {
      expect(decodePlainRequest(Buffer.from(body), 16)).toBeDefined();
      expect(outcome(body)).toEqual(generally(body));
    }
  }
});

test('the general decoder has the word on all others', () => {
  const text = JSON.stringify({ inputs: [input] });
  const others = [
    '',
    '{}',
    '[]',
    `${text}}`,
    text.replace('-2.5', '01'),
    text.replace('-2.5', '1e39'),
    text.replace('-2.5', 'null'),
    text.replace('-2.5', '"NaN"'),
    text.replace(',-2.5', ''),
    text.replace('-2.5', '1,2'),
    text.replace('-2.5', '[1]'),
    text.replace('"x"', '"\\u0078"'),
    text.replace('"x"', '"ü"'),
    text.replace('"x"', '"x","name":"y"'),
    text.replace('FP32', 'fp32'),
    text.replace('[1,3]', '[3,-1]'),
    text.replace('[1,3]', '[]'),
    text.replace('[1,3]', '[1,1.5]'),
    text.replace('{"inputs"', '{"id":null,"inputs"'),
    text.replace('{"inputs"', '{"parameters":{"a":1},"inputs"'),
    JSON.stringify({ inputs: [input, input] }),
    JSON.stringify({ inputs: [input], outputs: [{ name: 'y' }] }),
    JSON.stringify({ inputs: [{ ...input, data: undefined, shape: [0] }] }),
    JSON.stringify({ inputs: [{ data: [1], name: 'x', datatype: 'FP32', shape: [1] }] }),
  ];
  for (const body of others) {
    expect(decodePlainRequest(Buffer.from(body), 16), body).toBeUndefined();
    expect(outcome(body)).toEqual(generally(body));
  }
});

test('any change of one character has the same outcome either way', () => {
  const text = JSON.stringify({ id: 'a', inputs: [input] });
  const change = fc.tuple(fc.nat(text.length), fc.nat(2), fc.constantFrom(...Array.from('{}[],:"0123456789.eE+-xN \n\\')));
  fc.assert(
    fc.property(change, ([at, removed, character]) => {
      const body = text.slice(0, at) + character + text.slice(at + removed);
      expect(outcome(body)).toEqual(generally(body));
    }),
    { numRuns: 2000 },
  );
});

test('small tensors share no bytes', () => {
  const decode = (value: number): Float32Array => {
    const body = JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [3], data: [value, value, value] }] });
    return runSteps(decodeInferRequest(Buffer.from(body), options)).inputs[0]!.data as Float32Array;
  };
  const all = Array.from({ length: 5000 }, (_, value) => decode(value));
  expect(all.every((data, value) => data.every((element) => element === value))).toBe(true);
});
