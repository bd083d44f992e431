import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hasFields, mergeFields, ownedShape, pickFields } from '../../../src/rollout/fields.ts';

const live = { minReplicas: 1, model: { storageUri: 'new', env: [{ name: 'A' }] }, timeout: 5 };

describe('pickFields', () => {
  it('gives what is at the places of a change, and leaves out what was not there', () => {
    expect(pickFields(live, { model: { storageUri: 'x', args: ['--y'], env: [] }, timeout: 9, name: 'z' })).toEqual({
      model: { storageUri: 'new', env: [{ name: 'A' }] },
      timeout: 5,
    });
  });
});

describe('mergeFields and hasFields', () => {
  it('have what was laid over', () => {
    const fields = fc.dictionary(
      fc.constantFrom('a', 'b', 'c'),
      fc.oneof(fc.integer(), fc.dictionary(fc.constantFrom('x', 'y'), fc.integer()), fc.array(fc.integer())),
    );
    fc.assert(
      fc.property(fields, fields, (under, over) => {
        const merged = mergeFields(under, over);
        expect(hasFields(merged, over)).toBe(true);
        expect(mergeFields(merged, over)).toEqual(merged);
      }),
    );
  });

  it.each([
    [{ model: { storageUri: 'old' } }, false],
    [{ model: { env: [{ name: 'A' }] } }, true],
    [{ model: { env: [{ name: 'A', value: '1' }] } }, false],
    [{ name: 'x' }, false],
    [undefined, false],
    [{}, true],
  ])('sees whether %j is there', (part, expected) => {
    expect(hasFields(live, part)).toBe(expected);
  });
});

describe('ownedShape', () => {
  const managedFields = [
    { manager: 'kubectl', operation: 'Update', fieldsV1: { 'f:spec': { 'f:predictor': { 'f:timeout': {} } } } },
    {
      manager: 'us',
      operation: 'Apply',
      fieldsV1: {
        'f:spec': {
          'f:predictor': {
            'f:canaryTrafficPercent': {},
            'f:model': { 'f:storageUri': {}, 'f:env': { 'k:{"name":"A"}': { '.': {}, 'f:name': {} } } },
          },
        },
      },
    },
  ];

  it('is what one manager has applied, lists as a whole', () => {
    expect(ownedShape(managedFields, 'us', ['spec', 'predictor'])).toEqual({ canaryTrafficPercent: true, model: { storageUri: true, env: true } });
    expect(pickFields(live, ownedShape(managedFields, 'us', ['spec', 'predictor']))).toEqual({ model: { storageUri: 'new', env: [{ name: 'A' }] } });
  });

  it('is empty for a manager that has applied nothing', () => {
    expect(ownedShape(managedFields, 'kubectl', ['spec', 'predictor'])).toEqual({});
    expect(ownedShape(undefined, 'us', ['spec'])).toEqual({});
  });
});
