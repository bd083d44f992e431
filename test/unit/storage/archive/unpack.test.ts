import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isServingError } from '../../../../src/core/errors.ts';
import { DEFAULT_ARCHIVE_LIMITS, unpackArchive, type ArchiveFormat, type ArchiveLimits } from '../../../../src/storage/archive/index.ts';
import { SYMLINK_MODE, tarBytes, zipBytes, type RawEntry } from '../../../support/archive-bytes.ts';
import { REFUSALS } from './refusal-cases.ts';

let sandbox: string;
let into: string;
const idle = new AbortController().signal;

beforeEach(async () => {
  sandbox = await mkdtemp(join(tmpdir(), 'unpack-'));
  into = join(sandbox, 'model');
});
afterEach(() => rm(sandbox, { recursive: true, force: true }));

async function unpack(
  format: ArchiveFormat,
  bytes: Uint8Array,
  limits: Partial<ArchiveLimits> = {},
  signal = idle,
): Promise<{ files: number; bytes: number }> {
  const file = join(sandbox, `a.${format}`);
  await writeFile(file, bytes);
  return unpackArchive(file, format, into, { ...DEFAULT_ARCHIVE_LIMITS, ...limits }, signal);
}

async function refusalOf(unpacked: Promise<unknown>): Promise<string> {
  const thrown = await unpacked.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!isServingError(thrown)) throw new Error('expected a ServingError', { cause: thrown });
  expect(thrown.message).not.toMatch(/[\r\n\u001b]/);
  return thrown.message;
}

const text = (path: string): Promise<string> => readFile(join(into, path), 'utf8');

const MODEL: readonly RawEntry[] = [
  { name: './m/', type: '5', mode: 0o40755 },
  { name: './m/model.onnx', content: 'graph' },
  { name: 'm//bin/run.sh', content: 'run', mode: 0o104755 },
];

describe('unpackArchive, good archives', () => {
  it.each<[ArchiveFormat, Buffer]>([
    ['tar', tarBytes(MODEL)],
    ['tar.gz', gzipSync(tarBytes(MODEL))],
    ['zip', zipBytes(MODEL)],
  ])('unpacks a %s with its files, its directories and plain modes', async (format, bytes) => {
    expect(await unpack(format, bytes)).toEqual({ files: 2, bytes: 8 });
    expect(await text('m/model.onnx')).toBe('graph');
    expect(((await lstat(join(into, 'm/bin/run.sh'))).mode & 0o7777 & 0o7755).toString(8)).toBe('755');
    expect(((await lstat(join(into, 'm/model.onnx'))).mode & 0o111).toString(8)).toBe('0');
  });

  it('takes a gzipped tar for what it is when it is called .tar, and a plain one called .tar.gz', async () => {
    await unpack('tar', gzipSync(tarBytes(MODEL)));
    await rm(into, { recursive: true });
    await unpack('tar.gz', tarBytes(MODEL));
    expect(await text('m/model.onnx')).toBe('graph');
  });

  it('takes long names from pax headers', async () => {
    const long = `${'d'.repeat(120)}/${'f'.repeat(200)}`;
    await unpack('tar', tarBytes([{ name: 'short', pax: { path: long }, content: 'x' }]));
    expect(await text(long)).toBe('x');
  });

  it('keeps links to files and directories of the tree and copies hard links', async () => {
    const entries: RawEntry[] = [
      { name: 'latest', type: '2', target: '1' },
      { name: '1/model.onnx', content: 'graph' },
      { name: '1/same.onnx', type: '1', target: '1/model.onnx' },
      { name: '2/model.onnx', type: '2', target: '../latest/model.onnx' },
    ];
    expect(await unpack('tar', tarBytes(entries))).toEqual({ files: 4, bytes: 10 });
    expect(await readlink(join(into, 'latest'))).toBe('1');
    expect(await text('2/model.onnx')).toBe('graph');
    expect((await lstat(join(into, '1/same.onnx'))).nlink).toBe(1);
    expect(await text('1/same.onnx')).toBe('graph');
  });

  it('keeps links of zips', async () => {
    await unpack(
      'zip',
      zipBytes([
        { name: 'm/f', content: 'x' },
        { name: 'l', content: 'm/f', mode: SYMLINK_MODE },
      ]),
    );
    expect(await readlink(join(into, 'l'))).toBe('m/f');
  });

  it('takes backslashes of zips for slashes, as programs on Windows write them', async () => {
    await unpack('zip', zipBytes([{ name: 'm\\f', content: 'x' }]));
    expect(await text('m/f')).toBe('x');
  });

  it('unpacks into an empty directory that is there already', async () => {
    await mkdir(into);
    await unpack('tar', tarBytes(MODEL));
    expect(await readdir(into)).toEqual(['m']);
  });
});

const file = (name: string, more: Partial<RawEntry> = {}): RawEntry => ({ name, content: 'x', ...more });
const good = file('good');

describe('unpackArchive, refusals', () => {
  it.each(REFUSALS)('refuses %s in a %s and leaves nothing behind', async (_what, format, bytes, message, limits) => {
    await writeFile(join(sandbox, 'evil'), 'untouched');
    expect(await refusalOf(unpack(format, bytes(), limits))).toBe(message);
    expect((await readdir(sandbox)).sort()).toEqual([`a.${format}`, 'evil']);
    expect(await readFile(join(sandbox, 'evil'), 'utf8')).toBe('untouched');
  });

  it.each<[ArchiveFormat, Buffer]>([
    ['tar.gz', gzipSync(tarBytes([file('bomb', { content: Buffer.alloc(1 << 22) })]))],
    ['zip', zipBytes([file('bomb', { content: Buffer.alloc(1 << 22) })])],
  ])('refuses a %s that unpacks to far more than its own size', async (format, bytes) => {
    expect(await refusalOf(unpack(format, bytes, { ratioFromBytes: 1 << 20 }))).toMatch(
      /^Cannot unpack "a\.(tar\.gz|zip)": (it|entry "bomb") makes the archive unpack to \d+ times its \d+ bytes, over the limit of 200; store such files uncompressed if they are meant$/,
    );
    expect(await readdir(sandbox)).toEqual([`a.${format}`]);
  });

  it('refuses zeros without end after the last entry of a gzipped tar', async () => {
    const bytes = gzipSync(tarBytes([good], { end: Buffer.alloc(1 << 22) }));
    expect(await refusalOf(unpack('tar.gz', bytes, { maxBytes: 10, maxEntries: 10 }))).toMatch(
      /: it makes \d+ bytes or more unpacked, over the limit of 20490;/,
    );
  });

  it('says that bytes which are no archive are damaged', async () => {
    for (const format of ['zip', 'tar', 'tar.gz'] as const) {
      expect(await refusalOf(unpack(format, Buffer.from('x'.repeat(2000))))).toMatch(
        /^Cannot unpack "a\.\S+": it is damaged or cut short \(.+\); pack and upload it again$/,
      );
    }
  });

  it('refuses a directory that holds something, and leaves that alone', async () => {
    await mkdir(into);
    await writeFile(join(into, 'mine'), '1');
    expect(await refusalOf(unpack('tar', tarBytes(MODEL)))).toBe(
      `Cannot unpack "a.tar" into "${into}", which is not empty: it holds "mine"; name an empty directory`,
    );
    expect(await text('mine')).toBe('1');
  });

  it('refuses a target that is no directory', async () => {
    await writeFile(into, '1');
    expect(await refusalOf(unpack('tar', tarBytes(MODEL)))).toBe(
      `Cannot unpack "a.tar" into "${into}", which cannot be made or is no directory; name an empty directory`,
    );
    expect(await readFile(into, 'utf8')).toBe('1');
  });

  it('empties a directory that was there when it fails, and keeps the directory', async () => {
    await mkdir(into);
    await refusalOf(unpack('tar', tarBytes([...MODEL, file('../evil')])));
    expect(await readdir(into)).toEqual([]);
  });

  it('names an archive that is missing', async () => {
    const unpacked = unpackArchive(join(sandbox, 'lost.zip'), 'zip', into, DEFAULT_ARCHIVE_LIMITS, idle);
    expect(await refusalOf(unpacked)).toMatch(/^Cannot unpack "lost\.zip": ENOENT: .+; check the disk and its permissions$/);
    expect(await readdir(sandbox)).toEqual([]);
  });

  it('refuses a target that is a link to nowhere', async () => {
    await symlink(join(sandbox, 'nowhere'), into);
    await refusalOf(unpack('tar', tarBytes(MODEL)));
    expect((await readdir(sandbox)).sort()).toEqual(['a.tar', 'model']);
  });
});

describe('unpackArchive, abort', () => {
  it.each<[ArchiveFormat, Buffer]>([
    ['tar', tarBytes(MODEL)],
    ['tar.gz', gzipSync(tarBytes(MODEL))],
    ['zip', zipBytes(MODEL)],
  ])('rejects with the reason of the signal wherever it stands in a %s, and removes what it had written', async (format, bytes) => {
    const reason = new Error('enough');
    let aborts = 0;
    for (;;) {
      const stop = new AbortController();
      const check = stop.signal.throwIfAborted.bind(stop.signal);
      let checks = 0;
      stop.signal.throwIfAborted = () => {
        if (checks++ === aborts) stop.abort(reason);
        check();
      };
      const outcome = await unpack(format, bytes, {}, stop.signal).catch((error: unknown) => error);
      if (!stop.signal.aborted) break;
      aborts += 1;
      expect(outcome).toBe(reason);
      expect(await readdir(sandbox)).toEqual([`a.${format}`]);
    }
    expect(aborts).toBeGreaterThan(4);
    expect(await text('m/model.onnx')).toBe('graph');
  });

  it('does nothing when the signal is aborted before', async () => {
    await expect(unpack('tar', tarBytes(MODEL), {}, AbortSignal.abort(new Error('early')))).rejects.toThrow('early');
    await expect(lstat(into)).rejects.toThrow('ENOENT');
  });
});
