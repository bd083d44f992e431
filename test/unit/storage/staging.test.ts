import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { currentOwner } from '../../../src/storage/owner.ts';
import { findUnfinishedDownload, openStaging, type Staging } from '../../../src/storage/staging.ts';

const URI = 's3://bucket/model';

describe('openStaging', () => {
  let dir: string;
  let dest: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'kserve-node-staging-'));
    dest = join(dir, 'dest');
  });
  afterEach(() => {
    rmSync(dir, { recursive: true });
  });

  const open = (): Promise<Staging> => openStaging(dest, URI, { signal: new AbortController().signal, isDurable: true });
  const write = (root: string, files: Readonly<Record<string, string>>): void => {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(join(root, path, '..'), { recursive: true });
      writeFileSync(join(root, path), text);
    }
  };
  /** A staging directory whose process is gone. */
  const leaveBehind = async (journal: object, files: Readonly<Record<string, string>>): Promise<void> => {
    const root = join(dest, '.kserve-node-download');
    write(root, Object.fromEntries(Object.entries(files).map(([path, text]) => [`files/${path}`, text])));
    const owner = { ...(await currentOwner()), startedAt: 'another time' };
    write(root, { 'files/.keep': '', 'journal.json': JSON.stringify({ uri: URI, owner, startedAt: '2026-01-01', ...journal }) });
  };

  it('makes a new destination by one rename and leaves nothing beside it', async () => {
    const staging = await open();
    write(staging.dir, { 'a.onnx': 'A', 'b/c': 'C' });
    expect(existsSync(dest)).toBe(false);
    await staging.commit();
    expect(readdirSync(dest).sort()).toEqual(['a.onnx', 'b']);
    expect(readdirSync(dir)).toEqual(['dest']);
  });

  it('places files into a destination that is there, over files of their name, and marks it until the end', async () => {
    write(dest, { 'a.onnx': 'old', 'b/own': 'own' });
    const staging = await open();
    write(staging.dir, { 'a.onnx': 'new', 'b/c': 'C', 'd/e': 'E' });
    expect(await findUnfinishedDownload(dest)).toMatchObject({ uri: URI });
    await staging.commit();
    expect(['a.onnx', 'b/own', 'b/c', 'd/e'].map((path) => readFileSync(join(dest, path), 'utf8'))).toEqual(['new', 'own', 'C', 'E']);
    expect(await findUnfinishedDownload(dest)).toBeUndefined();
    expect(readdirSync(dest).sort()).toEqual(['a.onnx', 'b', 'd']);
  });

  it('leaves a destination as it was when the download is abandoned', async () => {
    write(dest, { own: 'own' });
    const staging = await open();
    write(staging.dir, { a: 'A' });
    await staging.abandon();
    expect(readdirSync(dest)).toEqual(['own']);
  });

  it('refuses a destination that another download writes to', async () => {
    const first = await open();
    await expect(open()).rejects.toThrow(/another download \(process \d+ on .*\) writes to/);
    await first.abandon();
  });

  it('refuses a file as destination', async () => {
    writeFileSync(dest, '');
    await expect(open()).rejects.toThrow('to be a directory or new, got a file');
  });

  it('takes back what a download that ended half-way had placed, and only that', async () => {
    write(dest, { placed: 'half', 'folder/placed': 'half', own: 'own' });
    await leaveBehind({ placing: ['placed', 'folder', 'waiting'] }, { waiting: 'W' });
    expect(await findUnfinishedDownload(dest)).toBeDefined();
    const staging = await open();
    expect(readdirSync(dest).sort()).toEqual(['.kserve-node-download', 'own']);
    write(staging.dir, { model: 'M' });
    await staging.commit();
    expect(readdirSync(dest).sort()).toEqual(['model', 'own']);
  });

  it('does not follow a destroyed journal out of the destination', async () => {
    write(dir, { outside: 'precious' });
    await leaveBehind({ placing: ['../outside'] }, {});
    await (await open()).abandon();
    expect(readFileSync(join(dir, 'outside'), 'utf8')).toBe('precious');
  });

  it('takes over from a download that never wrote its journal, once it has been silent for long', async () => {
    mkdirSync(join(dest, '.kserve-node-download'), { recursive: true });
    const longAgo = new Date(Date.now() - 120_000);
    utimesSync(join(dest, '.kserve-node-download'), longAgo, longAgo);
    expect(await findUnfinishedDownload(dest)).toEqual({ uri: undefined, startedAt: undefined });
    await (await open()).abandon();
    expect(readdirSync(dest)).toEqual([]);
  });
});
