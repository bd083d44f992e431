import { gzipSync } from 'node:zlib';
import type { ArchiveFormat, ArchiveLimits } from '../../../../src/storage/archive/index.ts';
import { SYMLINK_MODE, tarBytes, zipBytes, type RawEntry } from '../../../support/archive-bytes.ts';

const file = (name: string, more: Partial<RawEntry> = {}): RawEntry => ({ name, content: 'x', ...more });
const link = (name: string, target: string): RawEntry => ({ name, type: '2', target, content: '' });
const zipLink = (name: string, target: string): RawEntry => ({ name, content: target, mode: SYMLINK_MODE });
const good = file('good');

/** What is refused, in which format, and the whole line that says so. Each archive begins with a good file, so that there is something to remove. */
export type Case = [what: string, format: ArchiveFormat, bytes: () => Buffer, message: string, limits?: Partial<ArchiveLimits>];

const NAMES: Case[] = (
  [
    ['traversal', '../evil', 'leads out of the directory with ".."; pack from inside the model directory'],
    ['traversal in the middle', 'a/../../evil', 'leads out of the directory with ".."; pack from inside the model directory'],
    ['an absolute path', '/etc/evil', 'has an absolute path; pack with paths relative to the model directory'],
    ['a drive', 'C:/evil', 'has an absolute path; pack with paths relative to the model directory'],
    ['a journal of ours', '.KSERVE-node-download/j', 'is called .kserve-node-download, which is reserved; rename it'],
    ['a name of the root', './', 'has no name; name it'],
  ] as const
).flatMap(([what, name, message]): Case[] => [
  [what, 'tar', (): Buffer => tarBytes([good, { ...file(name), type: '7' }]), `Cannot unpack "a.tar": entry ${JSON.stringify(name)} ${message}`],
  ...(name === './'
    ? []
    : [[what, 'zip', (): Buffer => zipBytes([good, file(name)]), `Cannot unpack "a.zip": entry ${JSON.stringify(name)} ${message}`] as Case]),
]);

const tar = (what: string, entries: readonly RawEntry[], message: string, limits?: Partial<ArchiveLimits>): Case =>
  limits === undefined
    ? [what, 'tar', (): Buffer => tarBytes([good, ...entries]), `Cannot unpack "a.tar": ${message}`]
    : [what, 'tar', (): Buffer => tarBytes([good, ...entries]), `Cannot unpack "a.tar": ${message}`, limits];
const zip = (what: string, entries: readonly RawEntry[], message: string, limits?: Partial<ArchiveLimits>): Case =>
  limits === undefined
    ? [what, 'zip', (): Buffer => zipBytes([good, ...entries]), `Cannot unpack "a.zip": ${message}`]
    : [what, 'zip', (): Buffer => zipBytes([good, ...entries]), `Cannot unpack "a.zip": ${message}`, limits];

export const REFUSALS: Case[] = [
  ...NAMES,
  zip('traversal with backslashes', [file('..\\evil')], 'entry "../evil" leads out of the directory with ".."; pack from inside the model directory'),
  tar('a backslash', [file('a\\b')], 'entry "a\\\\b" has a backslash in its name; pack with "/" between directories'),
  tar('control characters', [file('a\u001b[2J\nb')], 'entry "a\\u001b[2J\\nb" has a control character in its name; rename it'),
  tar(
    'broken UTF-8',
    [{ ...good, name: Buffer.from([0x61, 0xff]) }],
    'entry "a\ufffd" has a name that is not valid UTF-8; rename it, or pack with UTF-8 names',
  ),
  tar('deep nesting', [file('a/b/c/d')], 'entry "a/b/c/d" lies 4 directories deep, over the limit of 3; flatten the directories', { maxDepth: 3 }),
  tar(
    'a long name',
    [file('x', { pax: { path: 'n'.repeat(256) } })],
    `entry "${'n'.repeat(80)}…${'n'.repeat(80)}" has a name over 255 bytes or a path over 2048; shorten it`,
  ),
  tar('the same path twice', [file('./good')], 'entry "./good" is in the archive twice; pack each path once'),
  zip('the same path twice', [file('good')], 'entry "good" is in the archive twice; pack each path once'),
  tar('case collisions', [file('GOOD')], 'entry "GOOD" differs from "good" only in case or in how letters are composed; rename one of them'),
  tar(
    'case collisions of directories',
    [file('d/x'), file('D/y')],
    'entry "D/y" differs from "d" only in case or in how letters are composed; rename one of them',
  ),
  zip(
    'composed letters',
    [file('e\u0301'), file('\u00e9')],
    'entry "\u00e9" differs from "e\u0301" only in case or in how letters are composed; rename one of them',
  ),
  tar('a file for a directory', [file('good/x')], 'entry "good/x" needs a directory where the archive has a file; pack each path once'),
  tar('a directory for a file', [file('d/x'), file('d')], 'entry "d" is in the archive twice; pack each path once'),
  tar(
    'writing through a link',
    [link('l', '..'), file('l/evil')],
    'entry "l/evil" needs a directory where the archive has a link; pack each path once',
  ),
  zip(
    'writing through a link',
    [zipLink('l', '..'), file('l/evil')],
    'entry "l/evil" needs a directory where the archive has a link; pack each path once',
  ),
  tar('replacing a link', [link('l', 'good'), file('l')], 'entry "l" is in the archive twice; pack each path once'),
  tar('a link out', [link('l', '../evil')], 'entry "l" links to a place outside the directory; pack the file itself'),
  zip('a link out', [zipLink('l', '../evil')], 'entry "l" links to a place outside the directory; pack the file itself'),
  tar(
    'a link out by another',
    [link('d/l', '../d2'), link('d2', '.'), link('e', 'd/l/../../..')],
    'entry "e" links to a place outside the directory; pack the file itself',
  ),
  tar('an absolute link', [link('l', '/etc/passwd')], 'entry "l" links to an absolute path; use a relative link or pack the file itself'),
  tar('an empty link', [link('l', '')], 'entry "l" links to an empty or unreadable name; pack the file itself'),
  tar('a link to nothing', [link('l', 'lost')], 'entry "l" links to nothing that the archive holds; pack the file it links to as well'),
  tar('a link through a file', [link('l', 'good/x')], 'entry "l" links through a file as if it were a directory; pack the file itself'),
  tar('links in a circle', [link('a', 'b'), link('b', 'a')], 'entry "a" links in a circle; pack the file itself'),
  tar(
    'a tree without end',
    [file('d/x'), link('d/l', '.')],
    'entry "d/l" links to a directory that itself holds a link to a directory; pack the directories themselves',
  ),
  zip('a link of a megabyte', [zipLink('l', 'x'.repeat(1 << 20))], 'entry "l" links to a name of 1048576 bytes; pack the file itself'),
  tar(
    'a hard link out',
    [{ name: 'h', type: '1', target: '../evil' }],
    'entry "h" links to a path that leads out of the directory with ".."; pack from inside the model directory',
  ),
  tar(
    'an absolute hard link',
    [{ name: 'h', type: '1', target: '/etc/passwd' }],
    'entry "h" links to a path that has an absolute path; pack with paths relative to the model directory',
  ),
  tar(
    'a hard link to nothing',
    [{ name: 'h', type: '1', target: 'h' }],
    'entry "h" is a hard link to no file that comes before it in the archive; pack the file itself',
  ),
  tar(
    'a hard link to a link',
    [link('l', 'good'), { name: 'h', type: '1', target: 'l' }],
    'entry "h" is a hard link to no file that comes before it in the archive; pack the file itself',
  ),
  tar('a device', [{ name: 'd', type: '3' }], 'entry "d" is a character-device; pack only files, directories and links, without --sparse'),
  tar('a disk', [{ name: 'd', type: '4' }], 'entry "d" is a block-device; pack only files, directories and links, without --sparse'),
  tar('a pipe', [{ name: 'd', type: '6' }], 'entry "d" is a fifo; pack only files, directories and links, without --sparse'),
  tar('a sparse file', [file('s', { type: 'S' })], 'entry "s" is of an unknown kind; pack only files, directories and links, without --sparse'),
  tar('a sparse file of pax', [file('s', { pax: { 'GNU.sparse.major': '1' } })], 'entry "s" is a sparse file; pack without --sparse'),
  tar('a link with content', [file('l', { type: '2', target: 'good' })], 'entry "l" is a symlink with 1 bytes of content; pack the file itself'),
  zip('a device', [file('d', { mode: 0o020666 })], 'entry "d" is a device, pipe or socket (mode 20000); pack only files, directories and links'),
  zip('encryption', [file('e', { claims: { flags: 0x801 } })], 'entry "e" is encrypted; pack without a password'),
  zip('an unknown method', [file('e', { claims: { method: 12 } })], 'entry "e" is packed with method 12; pack with deflate or without compression'),
  zip('a directory with content', [file('d/')], 'entry "d/" is a directory with 1 bytes of content; pack it again'),
  zip('two names for one entry', [file('a', { claims: { localName: '../evil' } })], 'entry "a" is called "../evil" beside its bytes; pack it again'),
  zip('shared bytes', [file('a', { sharesWith: 0 })], 'entry "a" shares its bytes with another entry; pack it again'),
  zip(
    'a wrong checksum',
    [file('a', { claims: { crc: 0xbeef } })],
    'entry "a" has 1 bytes with CRC 8cdc1683 where 1 with beef were promised; pack and upload it again',
  ),
  zip(
    'more bytes than promised',
    [file('a', { content: 'xyz', claims: { size: 1 } })],
    'it is damaged or cut short (too many bytes in the stream. expected 1. got at least 3); pack and upload it again',
  ),
  tar('too many entries', [file('a'), file('b')], 'entry "b" is one more than the 2 entries allowed; pack fewer files', { maxEntries: 2 }),
  zip('too many entries', [file('a'), file('b')], 'entry "b" is one more than the 2 entries allowed; pack fewer files', { maxEntries: 2 }),
  tar(
    'a promise of too many bytes',
    [file('a', { claims: { size: 5000 } })],
    'entry "a" makes 5001 bytes or more unpacked, over the limit of 4000; pack less, or allow more bytes or disk',
    { maxBytes: 4000 },
  ),
  tar(
    'copies of hard links over the limit',
    [file('a', { content: 'xxxx' }), { name: 'h', type: '1', target: 'a' }],
    'entry "h" makes 9 bytes or more unpacked, over the limit of 8; pack less, or allow more bytes or disk',
    { maxBytes: 8 },
  ),
  zip(
    'too many bytes together',
    [file('a', { content: Buffer.alloc(3000) }), file('b', { content: Buffer.alloc(3000) })],
    'entry "b" makes 6001 bytes or more unpacked, over the limit of 4000; pack less, or allow more bytes or disk',
    { maxBytes: 4000 },
  ),
  ['no files', 'tar', (): Buffer => tarBytes([]), 'Cannot unpack "a.tar": it holds no files; pack the model into it'],
  ['no files', 'zip', (): Buffer => zipBytes([{ name: 'd/' }]), 'Cannot unpack "a.zip": it holds no files; pack the model into it'],
  [
    'bzip2',
    'tar',
    (): Buffer => Buffer.from('BZh91AY&SY'),
    'Cannot unpack "a.tar": it is not a tar but begins like bzip2; pack as .tar, .tar.gz or .zip and name it so',
  ],
  [
    'a tar without its end',
    'tar',
    (): Buffer => tarBytes([good], { end: Buffer.alloc(0) }),
    'Cannot unpack "a.tar": it is cut short: the zeros that end a tar are missing after 1024 bytes; pack and upload it again',
  ],
  [
    'a tar cut in a file',
    'tar',
    (): Buffer => tarBytes([file('a', { content: 'x'.repeat(2000) })]).subarray(0, 1024),
    'Cannot unpack "a.tar": it is damaged or cut short (Unexpected end of data); pack and upload it again',
  ],
  [
    'a gzip cut short',
    'tar.gz',
    (): Buffer => gzipSync(tarBytes([good])).subarray(0, -4),
    'Cannot unpack "a.tar.gz": it is damaged or cut short (unexpected end of file); pack and upload it again',
  ],
];
