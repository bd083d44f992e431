import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodePredictRequest, encodePredictResponse, formOfAnswer, type PredictRequest } from '../../../src/codec/index.ts';
import type { Datatype } from '../../../src/core/datatype.ts';
import { isServingError } from '../../../src/core/errors.ts';
import type { TensorMetadata } from '../../../src/core/metadata.ts';
import { runSteps } from '../../../src/core/steps.ts';
import { bytesFromElements, bytesFromStrings } from '../../../src/core/tensor-bytes.ts';
import { isBytesData, type Tensor } from '../../../src/core/tensor.ts';
import { comparable } from './arbitrary.ts';

const X: TensorMetadata = { name: 'x', datatype: 'FP32', shape: [-1, 2] };
const LABEL: TensorMetadata = { name: 'label', datatype: 'INT64', shape: [-1] };
const TEXT: TensorMetadata = { name: 'text', datatype: 'BYTES', shape: [-1, 1] };
const SCALAR: TensorMetadata = { name: 's', datatype: 'FP32', shape: [] };

function decode(body: unknown, inputs: readonly TensorMetadata[], maxDepth = 32): PredictRequest {
  const bytes = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  return runSteps(decodePredictRequest(bytes, { modelName: 'm', signature: { inputs, outputs: [] }, maxDepth }));
}

function inputsOf(body: unknown, inputs: readonly TensorMetadata[]): unknown[] {
  return decode(body, inputs).request.inputs.map(({ name, datatype, shape, data }) => [
    name,
    datatype,
    shape,
    isBytesData(data) ? comparable([{ name, datatype, shape, data }]) : Array.from(data as Float32Array),
  ]);
}

describe('decodePredictRequest', () => {
  it.each([
    ['instances', { instances: [[1, 2]] }, [X], [['x', 'FP32', [1, 2], [1, 2]]], 'instances', 1],
    [
      'several rows',
      {
        instances: [
          [1, 2],
          [3, 4],
          [5, 6],
        ],
        signature_name: 'serving_default',
        extra: { a: [1] },
      },
      [X],
      [['x', 'FP32', [3, 2], [1, 2, 3, 4, 5, 6]]],
      'instances',
      3,
    ],
    ['inputs with a list', { inputs: [[1, 2]] }, [X], [['x', 'FP32', [1, 2], [1, 2]]], 'instances', 1],
    ['bare values for one dimension', { instances: [5, 6] }, [LABEL], [['label', 'INT64', [2], [5n, 6n]]], 'instances', 2],
    ['rows by name, one input', { instances: [{ x: [1, 2] }, { x: [3, 4] }] }, [X], [['x', 'FP32', [2, 2], [1, 2, 3, 4]]], 'instances', 2],
    [
      'rows by name, several inputs in any order',
      {
        instances: [
          { x: [1, 2], label: 7 },
          { label: 8, x: [3, 4] },
        ],
      },
      [X, LABEL],
      [
        ['x', 'FP32', [2, 2], [1, 2, 3, 4]],
        ['label', 'INT64', [2], [7n, 8n]],
      ],
      'instances',
      2,
    ],
    [
      'columns',
      {
        inputs: {
          label: [7, 8],
          x: [
            [1, 2],
            [3, 4],
          ],
        },
      },
      [X, LABEL],
      [
        ['x', 'FP32', [2, 2], [1, 2, 3, 4]],
        ['label', 'INT64', [2], [7n, 8n]],
      ],
      'columns',
      2,
    ],
    ['a scalar column', { inputs: { s: 1.5 } }, [SCALAR], [['s', 'FP32', [], [1.5]]], 'columns', 1],
    ['no rows of a fixed shape', { instances: [] }, [X], [['x', 'FP32', [0, 2], []]], 'instances', 0],
    [
      'no rows, several inputs',
      { instances: [] },
      [X, LABEL],
      [
        ['x', 'FP32', [0, 2], []],
        ['label', 'INT64', [0], []],
      ],
      'instances',
      0,
    ],
    ['no rows as columns', { inputs: { x: [] } }, [X], [['x', 'FP32', [0, 2], []]], 'columns', 0],
    ['empty rows', { instances: [[], []] }, [{ ...X, shape: [-1, -1] }], [['x', 'FP32', [2, 0], []]], 'instances', 2],
    ['rows of another size, which others refuse', { instances: [[1, 2, 3]] }, [X], [['x', 'FP32', [1, 3], [1, 2, 3]]], 'instances', 1],
    ['special floats', { instances: [['NaN', null]] }, [X], [['x', 'FP32', [1, 2], [NaN, NaN]]], 'instances', 1],
  ])('%s', (_name, body, inputs, expected, form, rows) => {
    expect(inputsOf(body, inputs)).toEqual(expected);
    expect(decode(body, inputs)).toMatchObject({ form, rows, request: { modelName: 'm' } });
  });

  it('strings and b64 values mix, b64 alone is a value and not a named row', () => {
    const body = { instances: [['häß'], [{ b64: 'AP8=' }], [{ b64: '' }]] };
    expect(comparable(decode(body, [TEXT]).request.inputs)).toMatchObject([{ shape: [3, 1], data: '0500000068c3a4c39f0200000000ff00000000' }]);
    const flat = { ...TEXT, shape: [-1] };
    expect(comparable(decode({ instances: [{ b64: 'AP8' }, 'x'] }, [flat]).request.inputs)).toMatchObject([
      { shape: [2], data: '0200000000ff0100000078' },
    ]);
    expect(comparable(decode('{"instances":[{"text":{"b64":"AP8\\u003d"}}]}', [flat]).request.inputs)).toMatchObject([
      { shape: [1], data: '0200000000ff' },
    ]);
    const named = { ...flat, name: 'b64' };
    expect(comparable(decode({ instances: [{ b64: 'AP8=' }] }, [named]).request.inputs)).toMatchObject([{ shape: [1], data: '040000004150383d' }]);
  });

  it.each([
    ['instances that are no list', { instances: { x: 1 } }, [X], 'Expected "instances" to be a list'],
    ['inputs that are text', { inputs: 'x' }, [X], 'Expected "inputs" to be a list or an object of named inputs'],
    ['neither', {}, [X], 'Cannot decode request: expected a field "instances" or "inputs", got neither'],
    ['both', { instances: [], inputs: [] }, [X], 'Cannot decode request: expected "instances" or "inputs", got both'],
    ['instances twice', '{"instances":[[1,2]],"instances":[[1,2]]}', [X], 'expected "instances" once, got it twice'],
    ['no object', [1], [X], 'Cannot decode request: expected an object, got a list'],
    ['broken JSON', '{"instances":[[1,2]]', [X], 'Cannot parse request body: expected "," or "}" at byte 20, got the end'],
    [
      'a row without its batch',
      { instances: [1, 2] },
      [X],
      'Cannot decode input "x": expected lists nested 2 deep for FP32 [-1,2], got 1; a single row needs a list around it too',
    ],
    ['a list too many', { instances: [[[1, 2]]] }, [X], 'expected lists nested 2 deep for FP32 [-1,2], got more'],
    ['ragged rows', { instances: [[1, 2], [3]] }, [X], 'expected 2 levels of lists of equal sizes, at element [1][0] a list of 2, got 1'],
    [
      'ragged named rows',
      { instances: [{ x: [1, 2] }, { x: [3] }] },
      [X],
      'Cannot decode input "x": expected lists nested as [2], at element [0] a list of 2, got 1',
    ],
    ['a bare value for a named row', { instances: [{ x: 1 }] }, [X], 'expected lists nested 1 deep for one row of FP32 [-1,2], got 0'],
    [
      'no rows of an open shape',
      { instances: [] },
      [{ ...X, shape: [-1, -1] }],
      'expected elements that show the sizes of FP32 [-1,-1], got an empty list',
    ],
    ['an unknown name in a row', { instances: [{ y: 1 }] }, [X], 'Cannot decode "instances"[0]: expected names among "x", got "y"'],
    ['an unknown column', { inputs: { __proto__x: 1 } }, [X, LABEL], 'Cannot decode "inputs": expected names among "x", "label", got "__proto__x"'],
    [
      'a missing name in a row',
      { instances: [{ x: [1, 2], label: 1 }, { x: [1, 2] }] },
      [X, LABEL],
      'Cannot decode "instances"[1]: expected a value for input "label", got none',
    ],
    ['a name twice in a row', '{"instances":[{"x":[1,2],"x":[1,2]}]}', [X], 'Cannot decode "instances"[0]: expected "x" once, got it twice'],
    ['a column twice', '{"inputs":{"x":[[1,2]],"x":[[1,2]]}}', [X], 'Cannot decode "inputs": expected "x" once, got it twice'],
    ['lists for several inputs', { instances: [[1, 2]] }, [X, LABEL], 'Cannot decode "instances"[0]: expected an object, got a list'],
    ['named and plain rows mixed', { instances: [{ x: [1, 2] }, [3, 4]] }, [X], 'Cannot decode "instances"[1]: expected an object, got a list'],
    ['rows for a scalar input', { instances: [1] }, [SCALAR], 'input "s" is one FP32 without rows; send "inputs" with an object of named inputs'],
    ['a list for a scalar column', { inputs: { s: [1] } }, [SCALAR], 'expected lists nested 0 deep for FP32 [], got more'],
    ['rows for a model without inputs', { instances: [1] }, [], 'expected no rows for a model without inputs, got a list'],
    [
      'a value out of range',
      { instances: [1, 2 ** 63] },
      [LABEL],
      'Cannot decode input "label": expected INT64 (an integer from -9223372036854775808 to 9223372036854775807) for element 1, got 9223372036854776000',
    ],
    ['text for a number', { instances: [['a', 1]] }, [X], '"NaN", "Infinity" or "-Infinity" for element 0, got "a"'],
    ['a number for text', { instances: [[1]] }, [TEXT], 'expected BYTES (a string or {"b64": "…"}) for element 0, got a number'],
    ['broken base64', { instances: [[{ b64: 'A!==' }]] }, [TEXT], 'expected base64 text for element 0, got other characters or a wrong length'],
    ['base64 of a wrong length', { instances: [[{ b64: 'AAAAA' }]] }, [TEXT], 'expected base64 text for element 0'],
    ['base64 that is no text', { instances: [[{ b64: 5 }]] }, [TEXT], 'expected base64 text for element 0, got a number'],
    ['more beside base64', { instances: [[{ b64: '', a: 1 }]] }, [TEXT], 'got an object with other keys'],
    ['another object', { instances: [[{ a: '' }]] }, [TEXT], 'got an object with other keys'],
    ['too deep an unknown field', `{"x":${'['.repeat(100)}`, [X], 'nesting deeper than 32 levels'],
  ])('%s is refused', (_name, body, inputs, message) => {
    expect(() => decode(body, inputs)).toThrow(message);
  });

  it('any mutation of a valid request is decoded or refused as invalid_request', () => {
    const seeds = [
      '{"instances":[[1,2],[3.5,"NaN"]]}',
      '{"instances":[{"x":[1,2],"label":7,"text":[{"b64":"AP8="}]}]}',
      '{"inputs":{"x":[[1,2]],"label":[3],"text":[["a"]]}}',
    ];
    fc.assert(
      fc.property(
        fc.constantFrom(...seeds),
        fc.array(fc.tuple(fc.nat(70), fc.nat(255), fc.nat(3)), { minLength: 1, maxLength: 5 }),
        fc.boolean(),
        (seed, edits, isSingle) => {
          let bytes = Buffer.from(seed);
          for (const [at, byte, removed] of edits)
            bytes = Buffer.concat([bytes.subarray(0, at), removed === 3 ? Buffer.alloc(0) : Buffer.of(byte), bytes.subarray(at + removed)]);
          try {
            runSteps(
              decodePredictRequest(bytes, { modelName: 'm', signature: { inputs: isSingle ? [X] : [X, LABEL, TEXT], outputs: [] }, maxDepth: 16 }),
            );
          } catch (error) {
            if (!isServingError(error) || error.reason !== 'invalid_request') throw error;
          }
        },
      ),
      { numRuns: 5000 },
    );
  });

  it.each([
    ['plain rows', [X], '[0.5,0.25]'],
    ['named rows', [X, LABEL], '{"x":[0.5,0.25],"label":1}'],
  ])('100,000 %s pause every few thousand elements', (_name, inputs, row) => {
    const body = Buffer.from(`{"instances":[${new Array<string>(100_000).fill(row).join(',')}]}`);
    const steps = decodePredictRequest(body, { modelName: 'm', signature: { inputs, outputs: [] }, maxDepth: 8 });
    let pauses = 0;
    let step = steps.next();
    for (; step.done !== true; step = steps.next()) pauses++;
    expect(pauses).toBeGreaterThan(50);
    expect(step.value.request.inputs[0]!.shape).toEqual([100_000, 2]);
  });
});

describe('encodePredictResponse', () => {
  const predict = (form: PredictRequest['form'], rows: number): PredictRequest => ({ form, rows, request: { modelName: 'm', inputs: [] } });
  const encode = (outputs: Tensor[], request: PredictRequest): string => {
    const body = runSteps(encodePredictResponse({ modelName: 'm', outputs }, request));
    expect(body).toMatchObject({ contentType: 'application/json' });
    return Buffer.concat(body.chunks).toString();
  };
  const tensor = (name: string, datatype: Datatype, shape: number[], data: Tensor['data']): Tensor => ({ name, datatype, shape, data });
  const ROWS = tensor('y', 'INT32', [1, 2], Int32Array.of(1, 2));
  const ROW_LABEL = tensor('l', 'INT64', [1], BigInt64Array.of(7n));
  const CLASSES = tensor('c', 'BYTES', [2], bytesFromStrings(['é"', 'b']));
  const SCORES = tensor('s', 'FP32', [2, 1, 2], Float32Array.of(0.1, NaN, 1, -Infinity));
  const WHOLE = tensor('w', 'FP32', [], Float32Array.of(2));

  it.each([
    ["KServe's golden answer", [ROWS], predict('instances', 1), '{"predictions":[[1,2]]}'],
    ['one output of one dimension', [CLASSES], predict('instances', 2), '{"predictions":["é\\"","b"]}'],
    [
      'several outputs, an object per row',
      [CLASSES, SCORES],
      predict('instances', 2),
      '{"predictions":[{"c":"é\\"","s":[[0.1,"NaN"]]},{"c":"b","s":[[1,"-Infinity"]]}]}',
    ],
    ['no rows', [tensor('y', 'FP32', [0, 2], new Float32Array())], predict('instances', 0), '{"predictions":[]}'],
    ['rows of nothing', [tensor('y', 'FP32', [2, 0], new Float32Array())], predict('instances', 2), '{"predictions":[[],[]]}'],
    [
      'an output without rows, all given whole',
      [SCORES, WHOLE],
      predict('instances', 2),
      '{"predictions":{"s":[[[0.1,"NaN"]],[[1,"-Infinity"]]],"w":2}}',
    ],
    ['one output with other rows, given whole', [ROWS], predict('instances', 3), '{"predictions":{"y":[[1,2]]}}'],
    [
      'many rows of nothing',
      [tensor('y', 'FP32', [3, 2, 0], new Float32Array())],
      predict('instances', 3),
      '{"predictions":[[[],[]],[[],[]],[[],[]]]}',
    ],
    ['columns, one output', [ROWS], predict('columns', 1), '{"outputs":[[1,2]]}'],
    ['columns, a scalar', [WHOLE], predict('columns', 1), '{"outputs":2}'],
    ['columns, several outputs', [ROWS, WHOLE], predict('columns', 1), '{"outputs":{"y":[[1,2]],"w":2}}'],
    [
      'bytes that are not UTF-8',
      [tensor('y', 'BYTES', [1], bytesFromElements([Uint8Array.of(0, 255)]))],
      predict('instances', 1),
      '{"predictions":[{"b64":"AP8="}]}',
    ],
    [
      'names that need escapes',
      [tensor('é"', 'BOOL', [1], Uint8Array.of(1)), tensor('__proto__', 'UINT8', [1], Uint8Array.of(9))],
      predict('instances', 1),
      '{"predictions":[{"é\\"":true,"__proto__":9}]}',
    ],
  ])('%s', (_name, outputs, request, expected) => {
    expect(encode(outputs, request)).toBe(expected);
  });

  it.each<[string, readonly Tensor[], Pick<PredictRequest, 'form' | 'rows'>, string]>([
    ['rows', [ROWS], { form: 'instances', rows: 1 }, '{"explanations":[[1,2]]}'],
    ['several rows', [ROWS, ROW_LABEL], { form: 'instances', rows: 1 }, '{"explanations":[{"y":[1,2],"l":7}]}'],
    ['tensors without rows', [ROWS, WHOLE], { form: 'instances', rows: 1 }, '{"explanations":{"y":[[1,2]],"w":2}}'],
    ['a column', [ROWS], { form: 'columns', rows: 1 }, '{"explanations":[[1,2]]}'],
    ['columns', [ROWS, WHOLE], { form: 'columns', rows: 1 }, '{"explanations":{"y":[[1,2]],"w":2}}'],
  ])('an explanation of %s', (_name, outputs, form, expected) => {
    const { chunks } = runSteps(encodePredictResponse({ modelName: 'm', outputs }, form, 'explain'));
    expect(Buffer.concat(chunks).toString()).toBe(expected);
  });

  it.each<[string, readonly Tensor[], string]>([
    ['rows', [ROWS], '{"predictions":[[1,2]]}'],
    ['a tensor without rows', [WHOLE], '{"predictions":{"w":2}}'],
    ['rows and what has none', [ROWS, WHOLE], '{"predictions":{"y":[[1,2]],"w":2}}'],
    ['no rows', [tensor('y', 'FP32', [0, 2], new Float32Array())], '{"predictions":[]}'],
  ])('an answer of %s to a request that was no tensors', (_name, outputs, expected) => {
    const response = { modelName: 'm', outputs };
    const { chunks } = runSteps(encodePredictResponse(response, formOfAnswer(response)));
    expect(Buffer.concat(chunks).toString()).toBe(expected);
  });

  it('what goes out as predictions comes in as instances', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.float({ noNaN: true }), fc.float({ noNaN: true })), { minLength: 1 }), (rows) => {
        const data = Float32Array.from(rows.flat());
        const text = encode([tensor('x', 'FP32', [rows.length, 2], data)], predict('instances', rows.length));
        expect(decode(text.replace('predictions', 'instances'), [X]).request.inputs[0]!.data).toEqual(data);
      }),
    );
  });

  it('many rows pause', () => {
    const outputs = [tensor('a', 'FP32', [50_000, 2], new Float32Array(100_000)), tensor('b', 'INT64', [50_000], new BigInt64Array(50_000))];
    for (const given of [outputs, outputs.slice(0, 1)]) {
      const steps = encodePredictResponse({ modelName: 'm', outputs: given }, predict('instances', 50_000));
      let pauses = 0;
      while (steps.next().done !== true) pauses++;
      expect(pauses).toBeGreaterThan(40);
    }
  });
});
