import { describe, expect, expectTypeOf, it } from 'vitest';
import { InferenceError, InferenceResponse, tensor } from '../../../src/client/index.ts';

const RESPONSE = new InferenceResponse({
  modelName: 'digits',
  modelVersion: '1',
  id: 'a',
  outputs: [
    tensor('label', 'INT64', [2], [1n, 7n]),
    tensor('probabilities', 'FP32', [1, 2], [0.25, 0.75]),
    tensor('half', 'FP16', [2], [0.5, -2]),
    tensor('brain', 'BF16', [1], [3]),
    tensor('flags', 'BOOL', [2], [true, false]),
    tensor('names', 'BYTES', [2], ['ä', '']),
    tensor('raw', 'BYTES', [1], [Uint8Array.of(0xff)]),
  ],
});

function failure(read: () => unknown): InferenceError {
  try {
    read();
  } catch (thrown) {
    return thrown as InferenceError;
  }
  throw new Error('expected a failure');
}

describe('InferenceResponse', () => {
  it('gives the typed array of an output', () => {
    const probabilities = RESPONSE.output('probabilities', 'FP32');
    expectTypeOf(probabilities).toEqualTypeOf<Float32Array>();
    expect(probabilities).toEqual(Float32Array.of(0.25, 0.75));
    expect(RESPONSE.output('label', 'INT64')).toEqual(BigInt64Array.of(1n, 7n));
    expect(RESPONSE.tensor('probabilities').shape).toEqual([1, 2]);
  });

  it('gives 16-bit floats as numbers', () => {
    expect(RESPONSE.numbers('half')).toEqual([0.5, -2]);
    expect(RESPONSE.numbers('brain')).toEqual([3]);
    expect(RESPONSE.numbers('probabilities')).toEqual([0.25, 0.75]);
  });

  it('gives BYTES as text and as bytes', () => {
    expect(RESPONSE.strings('names')).toEqual(['ä', '']);
    expect(RESPONSE.bytes('raw')).toEqual([Uint8Array.of(0xff)]);
  });

  it('names what there is when an output is unknown', () => {
    const error = failure(() => RESPONSE.output('x', 'FP32'));
    expect(error).toBeInstanceOf(InferenceError);
    expect(error.reason).toBe('invalid_response');
    expect(error.message).toBe(
      'Cannot read output "x": the response of model "digits" has "label", "probabilities", "half", "brain", "flags", "names", "raw"',
    );
    expect(failure(() => new InferenceResponse({ modelName: 'm', outputs: [] }).tensor('x')).message).toContain('has no outputs');
  });

  it('names both datatypes when they differ', () => {
    expect(failure(() => RESPONSE.output('label', 'FP32')).message).toBe('Cannot read output "label" as FP32: it is INT64');
    expect(failure(() => RESPONSE.strings('label')).message).toBe('Cannot read output "label" as strings: it is INT64');
    for (const name of ['label', 'flags', 'names']) expect(failure(() => RESPONSE.numbers(name)).message).toContain('as numbers');
  });

  it('refuses to read other bytes than UTF-8 as text', () => {
    expect(failure(() => RESPONSE.strings('raw')).message).toContain('expected UTF-8');
  });

  it('leaves out what the server left out', () => {
    expect(Object.keys(new InferenceResponse({ modelName: 'm', outputs: [] }))).toEqual(['modelName', 'outputs']);
  });
});
