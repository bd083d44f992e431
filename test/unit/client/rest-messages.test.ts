import { describe, expect, it } from 'vitest';
import { readFlag, readIndex, readModelMetadata, readModelNames, readServerMetadata } from '../../../src/client/rest-messages.ts';

describe('readers of REST replies', () => {
  it('read what the protocol shows, null and absent fields included', () => {
    expect(readServerMetadata({ name: 'kserve', version: '1', extensions: ['x'] })).toEqual({ name: 'kserve', version: '1', extensions: ['x'] });
    expect(readModelNames({ models: ['a', 'b'] })).toEqual(['a', 'b']);
    expect(readModelMetadata({ name: 'm', versions: null, platform: '', inputs: [], outputs: [] })).toEqual({
      name: 'm',
      versions: [],
      platform: '',
      inputs: [],
      outputs: [],
      properties: {},
    });
    expect(
      readModelMetadata({ name: 'm', platform: 'onnx_onnxv1', inputs: [{ name: 'i', datatype: 'FP32', shape: [-1, 64] }], properties: { a: 'b' } }),
    ).toMatchObject({ inputs: [{ name: 'i', datatype: 'FP32', shape: [-1, 64] }], properties: { a: 'b' } });
  });

  it('read the repository index, a state left out as UNAVAILABLE', () => {
    expect(readIndex([{ name: 'm', version: '1', state: 'READY', reason: '' }, { name: 'n' }])).toEqual([
      { name: 'm', version: '1', state: 'READY', reason: '' },
      { name: 'n', version: '', state: 'UNAVAILABLE', reason: '' },
    ]);
  });

  it.each([
    [() => readServerMetadata('x'), 'Cannot read the server metadata: expected an object, got string'],
    [() => readServerMetadata(null), 'got null'],
    [() => readServerMetadata({}), 'Cannot read field "name" of the response: expected text, got nothing'],
    [() => readServerMetadata({ name: 'x', extensions: [1] }), 'expected texts only'],
    [() => readModelNames({ models: {} }), 'Cannot read field "models" of the response: expected an array, got object'],
    [() => readIndex({}), 'expected an array'],
    [() => readModelMetadata({ name: 'm', inputs: [{ name: 'i', datatype: 'FP33', shape: [] }] }), 'no such datatype as "FP33"'],
    [() => readModelMetadata({ name: 'm', inputs: [{ name: 'i', datatype: 'FP32', shape: ['1'] }] }), 'shape of tensor "i"'],
  ])('refuse what is not as the protocol says (%#)', (read, message) => {
    expect(read).toThrow(message);
  });

  it('take the status alone for a health reply without a body', () => {
    const reply = (text: string): Parameters<typeof readFlag>[0] => ({ status: 200, headers: {}, bytes: Buffer.from(text) });
    expect(readFlag(reply(''), 'live')).toBe(true);
    expect(readFlag(reply('{"live":true}'), 'live')).toBe(true);
    expect(readFlag(reply('{"ready":false}'), 'ready')).toBe(false);
  });
});
