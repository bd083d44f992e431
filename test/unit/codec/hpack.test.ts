import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeHeaderBlock, headerBytes, HeaderTable, writeHeader } from '../../../src/codec/hpack.ts';
import { decodeHuffman } from '../../../src/codec/hpack-huffman.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

describe('decodeHeaderBlock', () => {
  it.each<[string, string, string[]]>([
    ['C.2.1, literal with indexing', '400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572', ['custom-key', 'custom-header']],
    ['C.2.2, without indexing', '040c 2f73 616d 706c 652f 7061 7468', [':path', '/sample/path']],
    ['C.2.3, never indexed', '1008 7061 7373 776f 7264 0673 6563 7265 74', ['password', 'secret']],
    ['C.2.4, of the static table', '82', [':method', 'GET']],
    [
      'C.4.1, Huffman',
      '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
      [':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'www.example.com'],
    ],
    ['C.6.1, an answer', '4882 6402 5885 aec3 771a 4b', [':status', '302', 'cache-control', 'private']],
    ['a table of no size', '20 88', [':status', '200']],
    ['nothing', '', []],
  ])('reads RFC 7541 %s', (_, block, headers) => {
    expect(decodeHeaderBlock(hex(block))).toEqual(headers);
  });

  it.each<[string, string, RegExp]>([
    ['a dynamic entry', 'be', /no entry 62/],
    ['entry 0', '80', /no entry 0/],
    ['a dynamic table', '3fe1 1f', /dynamic table/],
    ['an endless integer', 'ff ffff ffff ffff ff', /integer/],
    ['half a string', '0003 6162', /ends within/],
    ['a name only', '0001 61', /ends within/],
    ['padding that is no padding', '0001 6181 00', /Huffman/],
    ['padding of a byte', '0001 6182 1fff', /Huffman/],
    ['the end of the string', '0001 6184 ffff ffff', /Huffman/],
  ])('refuses %s', (_, block, words) => {
    expect(() => decodeHeaderBlock(hex(block))).toThrow(words);
  });

  it('throws nothing but its own error, whatever comes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        try {
          decodeHeaderBlock(bytes);
        } catch (thrown) {
          expect(thrown).toMatchObject({ reason: 'invalid_request' });
        }
      }),
    );
  });

  it('reads what writeHeader writes', () => {
    const texts = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)), maxLength: 400 });
    fc.assert(
      fc.property(texts, texts, fc.boolean(), (name, value, isSecret) => {
        const block = Buffer.alloc(headerBytes(name, value));
        const end = writeHeader(block, 0, name, value, isSecret);
        expect(decodeHeaderBlock(block.subarray(0, end))).toEqual([name, value]);
      }),
    );
  });
});

describe('a dynamic table', () => {
  const decode = (table: HeaderTable, text: string, maxBytes = Infinity): string[] | undefined => decodeHeaderBlock(hex(text), table, maxBytes);

  it('keeps what RFC 7541 C.5 does, in 256 bytes', () => {
    const table = new HeaderTable(256);
    decode(table, '4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d'); // prettier-ignore
    expect(decode(table, '4803 3330 37c1 c0bf')).toEqual([
      ':status', '307', 'cache-control', 'private', 'date', 'Mon, 21 Oct 2013 20:13:21 GMT', 'location', 'https://www.example.com',
    ]); // prettier-ignore
    // The oldest, :status 302, has made room.
    expect([table.at(4), table.at(5)]).toEqual([['cache-control', 'private'], undefined]);
  });

  it('shrinks as it is told, and grows again as far as it was offered', () => {
    const table = new HeaderTable(4096);
    decode(table, '4001 6101 62');
    expect(decode(table, 'be')).toEqual(['a', 'b']);
    decode(table, '20 3fe1 1f');
    expect(() => decode(table, 'be')).toThrow(/no entry 62/);
    expect(() => decode(table, '3fe2 1f')).toThrow(/beyond what was offered/);
    expect(() => decode(table, '82 20')).toThrow(/in the middle/);
  });

  it('is emptied by what is larger than it', () => {
    const table = new HeaderTable(40);
    decode(table, '4001 6101 62');
    decode(table, '4001 6109 6262 6262 6262 6262 62');
    expect(table.at(1)).toBeUndefined();
  });

  it('has a version for each meaning of an index', () => {
    const table = new HeaderTable(4096);
    decode(table, '82');
    expect(table.version).toBe(0);
    decode(table, '4001 6101 62');
    expect(table.version).toBe(1);
  });

  it('stays right when a list is too large', () => {
    const table = new HeaderTable(4096);
    expect(decode(table, '4001 6101 62 be be', 68)).toBeUndefined();
    expect(decode(table, 'be be', 68)).toEqual(['a', 'b', 'a', 'b']);
  });
});

describe('decodeHuffman', () => {
  it('knows every byte', () => {
    // Appendix B: '&', a line feed, and the last byte of the table.
    expect(decodeHuffman(hex('f8'), 0, 1)).toBe('&');
    expect(decodeHuffman(hex('ffff fff3'), 0, 4)).toBe('\n');
    expect(decodeHuffman(hex('ffff fbbf'), 0, 4)).toBe('\u00ff');
  });
});
