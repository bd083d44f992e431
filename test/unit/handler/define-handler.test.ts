import { describe, expect, it } from 'vitest';
import { defineHandler, isDefinedHandler } from '../../../src/handler/index.ts';

const define = (members: unknown) => () => defineHandler(members as never);
const work = (): undefined => undefined;

describe('defineHandler', () => {
  it('gives the object back, recognisable, with its own this', () => {
    const members = { preprocess: work };
    expect(defineHandler(members)).toBe(members);
    expect(isDefinedHandler(members)).toBe(true);
    expect(isDefinedHandler({ preprocess: work })).toBe(false);
    expect(isDefinedHandler(undefined)).toBe(false);
  });

  it('takes an instance of a class with state of its own', () => {
    class Labels {
      labels = ['a'];
      postprocess(): undefined {
        return undefined;
      }
    }
    expect(isDefinedHandler(define(new Labels())())).toBe(true);
    class Misnamed {
      postProcess(): undefined {
        return undefined;
      }
    }
    expect(define(new Misnamed())).toThrow('unknown member "postProcess", did you mean postprocess?');
  });

  it.each([
    ['pre_process', 'preprocess'],
    ['preProcess', 'preprocess'],
    ['preproces', 'preprocess'],
    ['Predict', 'predict'],
    ['predictions', 'predict'],
    ['infer', 'predict'],
    ['initialize', 'load'],
    ['explain_request', 'explain'],
    ['dispose', 'unload'],
    ['accept', 'accepts'],
    ['input', 'inputs'],
  ])('refuses %s and suggests %s', (name, meant) => {
    expect(define({ [name]: work })).toThrow(`defineHandler: unknown member "${name}", did you mean ${meant}?`);
  });

  it('refuses a member that resembles nothing and lists what there is', () => {
    expect(define({ xyz: work })).toThrow(
      'defineHandler: unknown member "xyz", expected inputs, outputs, accepts, isIdempotent, isPure, load, preprocess, predict',
    );
  });

  it.each([
    [undefined, 'expected an object with methods such as preprocess, got undefined'],
    [work, 'expected an object with methods such as preprocess, got a function'],
    [[], 'got an empty array'],
    [{ predict: 7 }, 'predict must be a function, got 7'],
    [{ isIdempotent: 'no' }, 'isIdempotent must be true or false, got text "no"'],
    [{ accepts: 'image/png' }, 'accepts must be an array of media types'],
    [{ accepts: ['png'] }, 'accepts must hold media types such as "image/png" or "image/*", got text "png"'],
    [{ inputs: {} }, 'inputs must be an array of { name, datatype, shape }'],
    [{ inputs: [{ datatype: 'FP32', shape: [] }] }, 'inputs[0].name must be text, got undefined'],
    [{ inputs: [{ name: 'x', datatype: 'float', shape: [] }] }, 'inputs[0].datatype ("x") must be a datatype such as FP32, got text "float"'],
    [{ outputs: [{ name: 'x', datatype: 'FP32', shape: [-2] }] }, 'outputs[0].shape ("x") must be an array of sizes'],
    [
      {
        outputs: [
          { name: 'x', datatype: 'FP32', shape: [1] },
          { name: 'x', datatype: 'FP32', shape: [1] },
        ],
      },
      'outputs[1].name must be unique, got "x" twice',
    ],
  ])('refuses %j', (members, message) => {
    expect(define(members)).toThrow(TypeError);
    expect(define(members)).toThrow(message);
  });
});
