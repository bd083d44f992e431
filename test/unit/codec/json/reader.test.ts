import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isServingError } from '../../../../src/core/errors.ts';
import { parseDocument, skipDocument } from './document.ts';

const bytesOf = (text: string): Uint8Array => Buffer.from(text);

/** JSON.parse's verdict, except for the one thing that this reader refuses and JSON.parse takes: half a surrogate pair. */
function accepts(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return undefined;
  }
}

describe('JSON reader', () => {
  it.each([
    ['a trailing comma in a list', '[1,]'],
    ['a trailing comma in an object', '{"a":1,}'],
    ['a leading comma', '[,1]'],
    ['two values', '1 2'],
    ['trailing bytes', '{}x'],
    ['an unclosed list', '[1'],
    ['an unclosed object', '{"a":1'],
    ['an unclosed string', '"abc'],
    ['a wrong closing bracket', '[1}'],
    ['a missing colon', '{"a" 1}'],
    ['a key that is no string', '{a:1}'],
    ['a single-quoted string', "'a'"],
    ['a leading zero', '01'],
    ['a negative leading zero', '-012'],
    ['a plus sign', '+1'],
    ['a bare point', '1.'],
    ['a leading point', '.5'],
    ['a bare exponent', '1e'],
    ['a signed bare exponent', '1e+'],
    ['a bare minus', '-'],
    ['hexadecimal', '0x10'],
    ['NaN', 'NaN'],
    ['Infinity', '-Infinity'],
    ['a cut literal', 'tru'],
    ['a longer literal', 'trueish'],
    ['a control character in a string', '"a\u0001"'],
    ['a newline in a string', '"a\nb"'],
    ['an unknown escape', '"\\x41"'],
    ['a cut unicode escape', '"\\u12"'],
    ['a wrong unicode escape', '"\\u12g4"'],
    ['a comment', '[1/*x*/]'],
    ['no value', ''],
    ['only white space', ' \n\t\r '],
    ['a form feed as white space', '\f1'],
    ['a NUL byte', '[1\0]'],
  ])('%s is refused by both, reading and skipping', (_name, text) => {
    expect(accepts(text)).toBeUndefined();
    expect(() => parseDocument(bytesOf(text))).toThrow(/^Cannot parse document: expected .* at byte \d+, got /);
    expect(() => {
      skipDocument(bytesOf(text));
    }).toThrow(/^Cannot parse document: expected .* at byte \d+, got /);
  });

  it.each(['"\\ud800"', '"\\udc00"', '"\\ud800\\u0041"', '"\\ud800x"', '"\\udc00\\ud800"'])('half a surrogate pair %s is refused', (text) => {
    expect(() => parseDocument(bytesOf(text))).toThrow('Cannot parse document: half a surrogate pair at byte 1');
  });

  it.each([
    ['a byte order mark', [0xef, 0xbb, 0xbf, 0x31], 'got a byte order mark'],
    ['a lone continuation byte', [0x22, 0x80, 0x22], 'expected UTF-8'],
    ['an overlong slash', [0x22, 0xc0, 0xaf, 0x22], 'expected UTF-8'],
    ['an encoded surrogate', [0x22, 0xed, 0xa0, 0x80, 0x22], 'expected UTF-8'],
    ['a character beyond U+10FFFF', [0x22, 0xf4, 0x90, 0x80, 0x80, 0x22], 'expected UTF-8'],
    ['a cut character', [0x22, 0xe2, 0x82], 'expected UTF-8'],
  ])('%s is refused', (_name, bytes, message) => {
    expect(() => parseDocument(Uint8Array.from(bytes))).toThrow(message);
  });

  it('UTF-8 that spans the slices of the check is accepted, at every offset', () => {
    for (let offset = 0; offset < 4; offset++) {
      const text = `"${'x'.repeat((1 << 20) - 4 + offset)}🙂é"`;
      expect(parseDocument(bytesOf(text))).toBe(JSON.parse(text));
    }
  });

  it('nesting at the limit is accepted, one more is refused, 10 million levels cost nothing', () => {
    expect(() => {
      skipDocument(bytesOf('[[[{"a":1}]]]'), 4);
    }).not.toThrow();
    expect(() => {
      skipDocument(bytesOf('[[[{"a":[]}]]]'), 4);
    }).toThrow('Cannot parse document: nesting deeper than 4 levels at byte 8');
    expect(() => {
      skipDocument(Buffer.alloc(10_000_000, '['));
    }).toThrow('nesting deeper than 64 levels');
    expect(() => {
      skipDocument(Buffer.from('{"a":'.repeat(1_000_000)));
    }).toThrow('nesting deeper than 64 levels');
  });

  it('a key of more than a mebibyte is refused, a value of that length is not', () => {
    const long = 'k'.repeat((1 << 20) + 1);
    expect(() => parseDocument(bytesOf(`{"${long}":1}`))).toThrow('a string of more than 1048576 bytes at byte 2');
    expect(parseDocument(bytesOf(`{"a":"${long}"}`))).toEqual({ a: long });
  });

  it('a number of thousands of digits is refused', () => {
    expect(() => parseDocument(bytesOf('1'.repeat(5000)))).toThrow('a number of more than 4096 bytes at byte 0');
    expect(() => parseDocument(bytesOf(`0.${'0'.repeat(5000)}1`))).toThrow('a number of more than 4096 bytes at byte 0');
    expect(() => parseDocument(bytesOf(`1e${'0'.repeat(5000)}1`))).toThrow('a number of more than 4096 bytes at byte 0');
  });

  it('any JSON value, with any white space, has the value that JSON.parse gives', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6, stringUnit: 'grapheme' }), fc.constantFrom('', ' ', '\n\t'), (value, space) => {
        const text = JSON.stringify(value, undefined, space);
        const padded = `${space}${text}${space}`;
        expect(parseDocument(bytesOf(padded))).toEqual(JSON.parse(padded));
        skipDocument(bytesOf(padded));
      }),
      { numRuns: 500 },
    );
  });

  it('random texts made of JSON pieces are accepted exactly when JSON.parse accepts them, with the same value', () => {
    const piece = fc.constantFrom(
      ...[
        '{',
        '}',
        '[',
        ']',
        ',',
        ':',
        '"',
        '"a"',
        '"\\n"',
        '\\',
        'true',
        'false',
        'null',
        '0',
        '1',
        '-',
        '.',
        'e',
        '+',
        '12.5e-3',
        ' ',
        '\n',
        '"\\u00e9"',
        'é',
        '\\u',
      ],
    );
    let accepted = 0;
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const text = pieces.join('');
        const expected = accepts(text);
        if (expected === undefined) {
          for (const read of [parseDocument, skipDocument]) {
            try {
              read(bytesOf(text));
              expect.unreachable(`accepted ${text}`);
            } catch (error) {
              if (!isServingError(error)) throw error;
            }
          }
        } else {
          accepted++;
          expect(parseDocument(bytesOf(text))).toEqual(expected.value);
          skipDocument(bytesOf(text));
        }
      }),
      { numRuns: 5000 },
    );
    expect(accepted).toBeGreaterThan(50);
  });

  it('escapes of every kind read as JSON.parse reads them', () => {
    const text = '"\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20ac\\ud83d\\ude42\\u0000 é€🙂"';
    expect(parseDocument(bytesOf(text))).toBe(JSON.parse(text));
  });
});
