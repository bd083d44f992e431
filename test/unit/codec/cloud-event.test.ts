import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkEventJson, decodeEventEnvelope, encodeEventEnvelope, isJsonType, type EventEnvelope } from '../../../src/codec/index.ts';
import { isServingError } from '../../../src/core/errors.ts';
import { runSteps } from '../../../src/core/steps.ts';

const ATTRIBUTES = { specversion: '1.0', id: 'a', source: '/s', type: 't' };

function decode(event: unknown, maxDepth = 20): EventEnvelope {
  const text = typeof event === 'string' ? event : JSON.stringify(event);
  return runSteps(decodeEventEnvelope(Buffer.from(text), maxDepth));
}

const contentOf = (event: object): [string, string] => {
  const { contentType, bytes } = decode({ ...ATTRIBUTES, ...event });
  return [contentType, Buffer.from(bytes).toString('latin1')];
};

describe('decodeEventEnvelope', () => {
  it('takes attributes as they stand, nulls left out', () => {
    const { attributes } = decode({ ...ATTRIBUTES, count: 3, flag: false, other: true, subject: null, 'a-b': 'c', data: 1 });
    expect(Object.fromEntries(attributes)).toEqual({ ...ATTRIBUTES, count: 3, flag: false, other: true, 'a-b': 'c' });
  });

  it.each<[string, object, string, string]>([
    ['an object', { data: { instances: [[1, 2]] } }, 'application/json', '{"instances":[[1,2]]}'],
    ['a string of JSON', { data: 'text "quoted"' }, 'application/json', '"text \\"quoted\\""'],
    ['null', { data: null }, 'application/json', 'null'],
    ['JSON of another type', { datacontenttype: 'application/ld+json', data: [1] }, 'application/ld+json', '[1]'],
    ['text of another type', { datacontenttype: 'text/csv', data: '1,2\n3,4' }, 'text/csv', '1,2\n3,4'],
    ['an empty text', { datacontenttype: 'text/csv', data: '' }, 'text/csv', ''],
    ['bytes', { datacontenttype: 'image/png', data_base64: 'AP8Q' }, 'image/png', '\x00\xff\x10'],
    ['bytes of no known type', { data_base64: 'AA==' }, 'application/octet-stream', '\x00'],
    ['JSON in base64', { datacontenttype: 'application/json', data_base64: 'e30=' }, 'application/json', '{}'],
    ['no type said', { datacontenttype: null, data: {} }, 'application/json', '{}'],
  ])('cuts out %s', (_, event, contentType, bytes) => {
    expect(contentOf(event)).toEqual([contentType, bytes]);
  });

  it('leaves the data as it was written', () => {
    const { bytes } = decode(`{"data" : \n{"a" :1e5, "b":"\\u00e9"} ,"id":"x"}`);
    expect(Buffer.from(bytes).toString()).toBe(`{"a" :1e5, "b":"\\u00e9"}`);
  });

  it.each<[string, unknown, string]>([
    ['no object', '[]', 'expected an object, got a list'],
    ['broken JSON', '{"id":', 'Cannot parse event'],
    ['something behind it', '{"data":1} 2', 'expected the end'],
    ['bytes that are not UTF-8', '{"id":"\xff"}', 'Cannot parse event'],
    ['no data', ATTRIBUTES, 'expected "data" or "data_base64", got neither'],
    ['both kinds of data', { data: 1, data_base64: 'AA==' }, 'once, got two of them'],
    ['an attribute twice', '{"id":"a","id":"b","data":1}', 'expected "id" once, got it twice'],
    ['an attribute that is an object', { id: {}, data: 1 }, 'expected attribute "id" to be text, a whole number or a boolean, got an object'],
    ['an attribute that is a fraction', { n: 1.5, data: 1 }, 'expected attribute "n"'],
    ['data that is no base64', { data_base64: '***' }, 'expected "data_base64" to be base64 text'],
    ['base64 that is no text', { data_base64: 1 }, 'expected "data_base64" to be base64 text, got a number'],
    ['a media type that is no text', { datacontenttype: 1, data: 1 }, 'expected attribute "datacontenttype" to be text, got 1'],
    ['data nested too deep', `{"data":${'['.repeat(30)}${']'.repeat(30)}}`, 'nesting deeper than 20 levels'],
    ['too many attributes', { ...Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`a${i}`, 1])), data: 1 }, 'at most 256 attributes'],
  ])('refuses %s', (_, event, message) => {
    const bytes = Buffer.from(typeof event === 'string' ? event : JSON.stringify(event), 'latin1');
    expect(() => runSteps(decodeEventEnvelope(bytes, 20))).toThrow(message);
  });

  it('of any mutation of an event is decoded or refused as invalid_request', () => {
    const valid = Buffer.from(JSON.stringify({ ...ATTRIBUTES, datacontenttype: 'text/csv', data_base64: 'AP8Q', n: 1 }));
    fc.assert(
      fc.property(fc.nat(valid.length - 1), fc.integer({ min: 0, max: 255 }), (at, byte) => {
        const mutated = Buffer.from(valid);
        mutated[at] = byte;
        try {
          runSteps(decodeEventEnvelope(mutated, 20));
        } catch (error) {
          expect(isServingError(error) && error.reason).toBe('invalid_request');
        }
      }),
    );
  });
});

describe('encodeEventEnvelope', () => {
  it('what goes out comes in', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.boolean(), (bytes, isText) => {
        const contentType = isText ? 'text/csv' : 'image/png';
        const event = Buffer.concat(encodeEventEnvelope(ATTRIBUTES, contentType, [bytes.subarray(0, 3), bytes.subarray(3)]));
        const back = decode(event.toString());
        expect([back.contentType, [...back.bytes]]).toEqual([contentType, [...bytes]]);
      }),
    );
  });

  it('writes JSON as it is', () => {
    const chunks = encodeEventEnvelope(ATTRIBUTES, 'application/json', [Buffer.from('{"a":'), Buffer.from('1}')]);
    expect(JSON.parse(Buffer.concat(chunks).toString())).toEqual({ ...ATTRIBUTES, data: { a: 1 } });
  });
});

describe('the data of an event', () => {
  it.each([['{}'], ['[1, 2]'], ['"é"'], [' 1 ']])('%s is JSON', (text) => {
    expect(() => {
      runSteps(checkEventJson(Buffer.from(text), 20));
    }).not.toThrow();
  });

  it.each([['{'], [''], ['{} {}'], ['nul'], ['[[[[']])('%j is not', (text) => {
    expect(() => {
      runSteps(checkEventJson(Buffer.from(text), 3));
    }).toThrow('Cannot parse event data');
  });

  it.each([
    ['application/json', true],
    ['Application/JSON; charset=utf-8', true],
    ['application/ld+json', true],
    ['application/jsonl', false],
    ['text/plain; a=/json', false],
    ['image/png', false],
    ['', false],
  ])('of type %j is JSON: %s', (contentType, isJson) => {
    expect(isJsonType(contentType)).toBe(isJson);
  });
});
