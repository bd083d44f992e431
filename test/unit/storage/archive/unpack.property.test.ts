import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isServingError } from '../../../../src/core/errors.ts';
import { DEFAULT_ARCHIVE_LIMITS, unpackArchive, type ArchiveFormat, type ArchiveLimits } from '../../../../src/storage/archive/index.ts';
import { SYMLINK_MODE, tarBytes, zipBytes, type RawEntry } from '../../../support/archive-bytes.ts';

/*
 * sandbox/            everything in here but `inner/model` must stay as it is
 *   a.<format>
 *   outside/canary
 *   inner/canary
 *   inner/model       where archives are unpacked
 */
let sandbox: string;
let into: string;

beforeAll(async () => {
  sandbox = await realpath(await mkdtemp(join(tmpdir(), 'unpack-property-')));
  into = join(sandbox, 'inner/model');
  for (const dir of ['outside', 'inner']) {
    await mkdir(join(sandbox, dir));
    await writeFile(join(sandbox, dir, 'canary'), dir);
  }
});
afterAll(() => rm(sandbox, { recursive: true, force: true }));

/** Every path below a directory with what is there; directories that are links are not walked through. */
async function snapshot(dir: string, skip: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const name of (await readdir(dir)).sort()) {
    const path = join(dir, name);
    if (path === skip) continue;
    const stats = await lstat(path);
    if (stats.isDirectory()) Object.assign(found, { [path]: 'directory' }, await snapshot(path, skip));
    else if (stats.isSymbolicLink()) found[path] = `link ${await readlink(path)}`;
    else found[path] = stats.isFile() ? `file ${await readFile(path, 'hex')}` : `other ${stats.mode}`;
  }
  return found;
}

interface Outcome {
  readonly error?: unknown;
  readonly tree?: Record<string, string>;
}

async function attempt(format: ArchiveFormat, bytes: Uint8Array, limits: ArchiveLimits): Promise<Outcome> {
  const file = join(sandbox, `a.${format}`);
  await writeFile(file, bytes);
  const before = await snapshot(sandbox, into);
  let outcome: Outcome;
  try {
    const { files, bytes: unpackedBytes } = await unpackArchive(file, format, into, limits, new AbortController().signal);
    const tree = await snapshot(into, '');
    expect(Object.values(tree).filter((what) => what !== 'directory')).toHaveLength(files);
    expect(unpackedBytes).toBeLessThanOrEqual(limits.maxBytes);
    for (const [path, what] of Object.entries(tree)) {
      expect(what).toMatch(/^(directory|file|link)/);
      // Whatever is reached through the tree lies in the tree.
      expect(`${await realpath(path)}/`.startsWith(`${into}/`)).toBe(true);
    }
    outcome = { tree };
  } catch (error) {
    if (!isServingError(error)) throw error;
    expect(error.message).toMatch(/^Cannot unpack "a\.(zip|tar|tar\.gz)": .+; .+$/);
    await expect(lstat(into)).rejects.toThrow('ENOENT');
    outcome = { error };
  }
  await rm(into, { recursive: true, force: true });
  expect(await snapshot(sandbox, into)).toEqual(before);
  await rm(file);
  return outcome;
}

const formats = fc.constantFrom<ArchiveFormat>('zip', 'tar', 'tar.gz');

/** Few and short, so that random entries meet each other. */
const harmless = fc.array(fc.constantFrom('a', 'b', 'c', 'A', 'l'), { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));
const hostile = fc.oneof(
  fc
    .array(fc.constantFrom('a', 'b', 'l', '..', '.', '', 'outside', 'canary', '.kserve-node-download', 'a\\b', '..\\evil', 'C:', '\u0000', '\n'), {
      maxLength: 8,
    })
    .map((parts) => parts.join('/')),
  fc.constant('').map(() => join(sandbox, 'outside/canary')),
  fc.constantFrom('../canary', '../../outside/evil', 'a/../../canary', '/', '..', '.', '~/evil', 'n'.repeat(90), 'a/'.repeat(45)),
  fc.string({ maxLength: 30, unit: 'binary' }),
);
const names = fc.oneof({ weight: 4, arbitrary: harmless }, { weight: 1, arbitrary: hostile });
const contents = fc.oneof(
  fc.uint8Array({ maxLength: 1500 }).map((bytes) => Buffer.from(bytes)),
  fc.integer({ min: 0, max: 100_000 }).map((size) => Buffer.alloc(size)),
);
const small = (weight: number): { weight: number; arbitrary: fc.Arbitrary<undefined> } => ({ weight, arbitrary: fc.constant(undefined) });
const claims = fc.oneof(
  small(8),
  fc.record(
    {
      size: fc.integer({ min: 0, max: 2 ** 31 }),
      crc: fc.integer({ min: 0, max: 2 ** 31 }),
      localName: names,
      method: fc.nat(20),
      flags: fc.nat(65535),
    },
    { requiredKeys: [] },
  ),
);

/** Near misses: a way out that would lead to something of the tree if it were taken from the root. */
const targets = fc.tuple(fc.constantFrom('/', '../', '../../', 'a/../../', './', '//'), harmless).map((parts) => parts.join(''));

/** One description serves both writers: what a format does not have is left out there. */
const entries = fc.record({
  name: names,
  target: fc.oneof(names, hostile, targets),
  content: contents,
  kind: fc.oneof(
    { weight: 6, arbitrary: fc.constant('file') },
    { weight: 3, arbitrary: fc.constantFrom('symlink', 'hardlink', 'directory') },
    { weight: 1, arbitrary: fc.constant('odd') },
  ),
  odd: fc.constantFrom('3', '4', '6', '7', 'S', 'g', 'x', 'L', 'K', 'Z'),
  pax: fc.oneof(small(4), fc.record({ path: names, linkpath: hostile, size: fc.nat(5000).map(String) }, { requiredKeys: [] })),
  claims,
  sharesWith: fc.oneof(small(8), fc.nat(3)),
  stored: fc.boolean(),
});
type Described = typeof entries extends fc.Arbitrary<infer T> ? T : never;

const TAR_TYPES: Readonly<Record<string, string>> = { file: '0', symlink: '2', hardlink: '1', directory: '5' };
const ZIP_MODES: Readonly<Record<string, number>> = { file: 0o100644, symlink: SYMLINK_MODE, hardlink: 0o100755, directory: 0o40755, odd: 0o10644 };

function pack(format: ArchiveFormat, described: readonly Described[]): Buffer {
  const raw = described.map(({ name, target, content, kind, odd, pax, claims: lies, sharesWith, stored }): RawEntry => {
    const common = { name, ...(lies === undefined ? {} : { claims: lies as NonNullable<RawEntry['claims']> }) };
    if (format === 'zip') {
      return {
        ...common,
        content: kind === 'symlink' ? target : kind === 'directory' ? '' : content,
        mode: ZIP_MODES[kind] ?? 0,
        ...(sharesWith === undefined ? {} : { sharesWith }),
        ...(stored ? { stored } : {}),
      };
    }
    const hasContent = kind === 'file' || kind === 'odd';
    const paxed = pax === undefined ? {} : { pax: pax as Record<string, string> };
    return { ...common, ...paxed, target, type: TAR_TYPES[kind] ?? odd, content: hasContent ? content : '' };
  });
  if (format === 'zip') return zipBytes(raw);
  const bytes = tarBytes(raw);
  return format === 'tar' ? bytes : gzipSync(bytes, { level: 1 });
}

type Damage = (bytes: Buffer) => Buffer;
/** Anywhere, or between two blocks of a tar, where no entry looks cut. */
const cuts = fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom(1, 512)).map(
  ([at, unit]): Damage =>
    (bytes) =>
      bytes.subarray(0, Math.floor((bytes.byteLength * at) / unit) * unit),
);
const flips = fc
  .array(fc.tuple(fc.double({ min: 0, max: 0.999999, noNaN: true }), fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 4 })
  .map((spots): Damage => (bytes) => {
    const copy = Buffer.from(bytes);
    for (const [at, mask] of spots) {
      const index = Math.floor(copy.byteLength * at);
      copy[index] = (copy[index] ?? 0) ^ mask;
    }
    return copy;
  });
const damages = fc.oneof(
  { weight: 3, arbitrary: fc.constant<Damage>((bytes) => bytes) },
  { weight: 1, arbitrary: cuts },
  { weight: 1, arbitrary: flips },
);

const limits = fc.record({
  maxBytes: fc.constantFrom(1000, 50_000, 10_000_000),
  maxEntries: fc.constantFrom(3, 100),
  maxRatio: fc.constantFrom(2, 200),
  ratioFromBytes: fc.constantFrom(1000, 1_000_000),
  maxDepth: fc.constantFrom(2, 32),
});

/** Trees without conflicts: what is packed from a real directory. */
const trees = fc
  .uniqueArray(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.constantFrom('x', 'y', 'z'), contents), {
    selector: ([dir, name]) => `${dir}/${name}`,
    minLength: 1,
    maxLength: 6,
  })
  .map((files) => files.map(([dir, name, content]): RawEntry => ({ name: `${dir}/${name}`, content })));

const packTree = (format: ArchiveFormat, tree: readonly RawEntry[]): Buffer =>
  format === 'zip' ? zipBytes(tree) : format === 'tar' ? tarBytes(tree) : gzipSync(tarBytes(tree), { level: 1 });

const RUNS = Number(process.env['UNPACK_RUNS'] ?? 200);

describe('unpackArchive, any archive', () => {
  it('writes nothing outside its target, and leaves nothing behind when it refuses', { timeout: RUNS * 200 }, async () => {
    let unpacked = 0;
    await fc.assert(
      fc.asyncProperty(formats, fc.array(entries, { minLength: 1, maxLength: 8 }), damages, limits, async (format, described, damage, bounds) => {
        const { tree } = await attempt(format, damage(pack(format, described)), bounds);
        if (tree !== undefined) unpacked += 1;
      }),
      { numRuns: RUNS },
    );
    // A generator whose archives are all refused at once would show little.
    expect(unpacked).toBeGreaterThan(0);
  });

  it('gives back the files of a whole archive, and never part of one that was cut', { timeout: RUNS * 200 }, async () => {
    await fc.assert(
      fc.asyncProperty(formats, trees, cuts, async (format, tree, cut) => {
        const expected = Object.fromEntries(
          tree.map(({ name, content }) => [join(into, String(name)), `file ${Buffer.from(content as string).toString('hex')}`]),
        );
        const files = ({ tree: found = {} }: Outcome): Record<string, string> =>
          Object.fromEntries(Object.entries(found).filter(([, what]) => what !== 'directory'));
        const bytes = packTree(format, tree);
        expect(files(await attempt(format, bytes, DEFAULT_ARCHIVE_LIMITS))).toEqual(expected);
        const rest = await attempt(format, cut(bytes), DEFAULT_ARCHIVE_LIMITS);
        if (rest.error === undefined) expect(files(rest)).toEqual(expected);
      }),
      { numRuns: RUNS / 2 },
    );
  });

  it('never takes flipped bits of a gzipped tar for content', { timeout: RUNS * 200 }, async () => {
    await fc.assert(
      fc.asyncProperty(trees, flips, async (tree, flip) => {
        const bytes = packTree('tar.gz', tree);
        const whole = await attempt('tar.gz', bytes, DEFAULT_ARCHIVE_LIMITS);
        const flipped = await attempt('tar.gz', flip(bytes), DEFAULT_ARCHIVE_LIMITS);
        if (flipped.error === undefined) expect(flipped.tree).toEqual(whole.tree);
      }),
      { numRuns: RUNS / 4 },
    );
  });
});
