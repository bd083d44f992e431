import { describe, expect, it } from 'vitest';
import { isServingError } from '../../../src/core/errors.ts';
import type { Tensor } from '../../../src/core/tensor.ts';
import { HandlerRequest, HandlerResponse, reply, tensor } from '../../../src/handler/index.ts';

const INPUTS: readonly Tensor[] = [
  tensor('half', 'FP16', [2], [0.5, -2]),
  tensor('id', 'INT64', [1], [7n]),
  tensor('word', 'BYTES', [2], ['ä', 'b']),
  tensor('raw', 'BYTES', [1], [new Uint8Array([0xff])]),
  tensor('flag', 'BOOL', [1], [true]),
];
const request = new HandlerRequest({ modelName: 'm', id: 'mine', inputs: INPUTS, outputs: [{ name: 'y' }] });
const body = (contentType: string, bytes: Uint8Array) => new HandlerRequest({ modelName: 'm', inputs: [], body: { contentType, bytes } });

function refusal(read: () => unknown): string {
  try {
    read();
  } catch (thrown) {
    if (isServingError(thrown)) return `${thrown.reason}: ${thrown.message}`;
    throw thrown;
  }
  throw new Error('expected a refusal');
}

describe('HandlerRequest', () => {
  it('reads tensors by name in the form that suits', () => {
    expect(request.numbers('half')).toEqual([0.5, -2]);
    expect(request.input('id', 'INT64')).toEqual(new BigInt64Array([7n]));
    expect(request.strings('word')).toEqual(['ä', 'b']);
    expect(request.bytes('raw')).toEqual([new Uint8Array([0xff])]);
    expect(request.tensor('flag').shape).toEqual([1]);
    expect({ id: request.id, outputs: request.outputs, parameters: { ...request.parameters } }).toEqual({
      id: 'mine',
      outputs: ['y'],
      parameters: {},
    });
  });

  it.each([
    [
      'a name that is not there',
      () => request.input('x'),
      'invalid_request: Cannot read input "x": the request has "half", "id", "word", "raw", "flag"',
    ],
    ['another datatype', () => request.input('id', 'INT32'), 'invalid_request: Cannot read input "id" as INT32: it is INT64'],
    ['big integers as numbers', () => request.numbers('id'), 'invalid_request: Cannot read input "id" as numbers: it is INT64'],
    ['numbers as text', () => request.strings('half'), 'invalid_request: Cannot read input "half" as strings: it is FP16'],
    [
      'bytes that are no text',
      () => request.strings('raw'),
      'invalid_request: Cannot read input "raw" as strings: Cannot read BYTES element 0 as text',
    ],
    ['a body that is not there', () => request.json(), 'invalid_request: Cannot read the body of the request as JSON: it has "half", "id"'],
    [
      'a tensor beside a body',
      () => body('a/b', new Uint8Array()).input('x'),
      'invalid_request: Cannot read input "x": the request has no inputs but a body of a/b',
    ],
  ])('names tensor and contents for %s', (_what, read, message) => {
    expect(refusal(read)).toContain(message);
  });

  it('reads a body as text in its charset, and as JSON', () => {
    expect(body('text/plain; charset=ISO-8859-1', new Uint8Array([0xe4])).text()).toBe('ä');
    expect(body('application/json', Buffer.from('{"a":[1]}')).json()).toEqual({ a: [1] });
    expect(refusal(() => body('application/json', Buffer.from('{')).json())).toContain(
      'invalid_request: Cannot read the body of the request as JSON: ',
    );
    expect(refusal(() => body('text/plain', new Uint8Array([0xff])).text())).toContain('expected utf-8, got other bytes');
    expect(refusal(() => body('text/plain; charset=klingon', new Uint8Array()).text())).toContain('unknown charset "klingon"');
  });
});

describe('HandlerResponse', () => {
  it('blames the handler for what is not there', () => {
    const response = new HandlerResponse({ modelName: 'm', outputs: INPUTS });
    expect(response.numbers('half')).toEqual([0.5, -2]);
    expect(refusal(() => response.output('x'))).toBe(
      'handler_failed: Cannot read output "x": the response of model "m" has "half", "id", "word", "raw", "flag"',
    );
  });
});

describe('tensor', () => {
  it("refuses what does not fit as the handler's fault, naming the tensor", () => {
    expect(refusal(() => tensor('x', 'FP32', [2, 2], [1, 2, 3]))).toBe('handler_failed: Cannot read tensor "x": shape [2,2] has 4 elements, got 3');
    expect(refusal(() => tensor('x', 'INT8', [1], [200]))).toBe(
      'handler_failed: Cannot make element 0 of tensor "x": expected an integer from -128 to 127 for INT8, got 200',
    );
    expect(refusal(() => tensor('x', 'INT64', [1], [1] as never))).toContain('expected a bigint');
    expect(refusal(() => tensor('x', 'FP32', [1], null as never))).toContain('Cannot make tensor "x"');
    expect(refusal(() => tensor('x', 'BYTES', [1], null as never))).toContain('Cannot make tensor "x"');
  });
});

describe('reply', () => {
  const text = (value: unknown, contentType?: string) => {
    const { body } = reply(value, contentType);
    return [body.contentType, Buffer.from(body.bytes).toString()];
  };

  it('is JSON, text or bytes by the value, and of the content type given', () => {
    expect(text({ a: new Float32Array([0.5]), b: 3n })).toEqual(['application/json', '{"a":[0.5],"b":3}']);
    expect(text('hé')).toEqual(['text/plain; charset=utf-8', 'hé']);
    expect(text('a,b', 'text/csv')).toEqual(['text/csv', 'a,b']);
    expect(text({ a: 1 }, 'application/problem+json')).toEqual(['application/problem+json', '{"a":1}']);
    const png = new Uint8Array([1]);
    expect(reply(png).body).toEqual({ contentType: 'application/octet-stream', bytes: png });
    expect(reply(png, 'image/png').body.bytes).toBe(png);
    expect(text(null)).toEqual(['application/json', 'null']);
  });

  it('refuses what JSON cannot hold, and what is no media type', () => {
    const circle: Record<string, unknown> = {};
    circle['self'] = circle;
    expect(refusal(() => reply(undefined))).toBe('handler_failed: Cannot reply with undefined: expected text, bytes or a value that JSON can hold');
    expect(refusal(() => reply(circle))).toContain('handler_failed: Cannot reply with an object with "self" as JSON: Converting circular structure');
    expect(refusal(() => reply(2n ** 60n))).toContain('as JSON');
    expect(refusal(() => reply('x', 'text/plain\r\nx: y'))).toContain('expected a media type such as image/png');
    expect(refusal(() => reply('x', 'png'))).toContain('expected a media type such as image/png');
  });
});
