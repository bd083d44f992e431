import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SILENT_LOGGER } from '../../../../src/core/context.ts';
import { openModelCache, type CachedFiles, type ModelCache } from '../../../../src/storage/cache/model-cache.ts';
import { FakeDownload } from './fake-download.ts';

const FILES = { 'model.onnx': 'model', 'data/weights.bin': 'weights' };
const signal = new AbortController().signal;

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'kserve-node-cache-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

const open = (maxBytes = 0, keepsUnused = true): Promise<ModelCache> => openModelCache({ dir, maxBytes, keepsUnused }, SILENT_LOGGER);

async function obtain(cache: ModelCache, download: FakeDownload): Promise<CachedFiles> {
  const files = await cache.obtain(download, signal);
  if (files === undefined) throw new Error('does not fit');
  return files;
}

/** Its next fetch begins, and goes on when it is let go. */
function hold(download: FakeDownload): { readonly began: Promise<void>; readonly go: () => void } {
  let go = (): void => undefined;
  const held = new Promise<void>((resolve) => (go = resolve));
  const began = new Promise<void>((resolve) => {
    download.onFetch = () => {
      resolve();
      return held;
    };
  });
  return {
    began,
    go: () => {
      go();
    },
  };
}

function inside(folder: string): string[] {
  return readdirSync(join(dir, readdirSync(dir)[0] ?? '', folder));
}

/** The record of a process that has ended, in this container: no process started before the machine. */
function deadOwner(): object {
  const scope = `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} `;
  return { pid: 999_999_999, host: 'elsewhere', scope, startedAt: '1' };
}

describe('a model cache', () => {
  it('fetches once, finds it again, and makes its files read-only', async () => {
    const download = new FakeDownload(FILES);
    const first = await obtain(await open(), download);
    const second = await obtain(await open(), new FakeDownload(FILES));
    expect([first.isHit, second.isHit, second.dir]).toEqual([false, true, first.dir]);
    expect(readFileSync(join(second.dir, 'data/weights.bin'), 'utf8')).toBe('weights');
    expect(statSync(join(second.dir, 'model.onnx')).mode & 0o777).toBe(0o444);
    expect(statSync(dirname(dirname(dirname(first.dir)))).mode & 0o777).toBe(0o700);
    await Promise.all([first.release(), second.release()]);
    expect([inside('entries').length, inside('uses'), inside('locks'), inside('staging')]).toEqual([1, [], [], []]);
  });

  it('keeps models of other content apart', async () => {
    const cache = await open();
    const one = await obtain(cache, new FakeDownload(FILES));
    const other = await obtain(cache, new FakeDownload({ ...FILES, 'model.onnx': 'newer' }));
    expect(other.dir).not.toBe(one.dir);
    expect(readFileSync(join(one.dir, 'model.onnx'), 'utf8')).toBe('model');
  });

  it('is not asked for what nothing identifies, and drops that when it is released', async () => {
    const cache = await open();
    const one = await obtain(cache, new FakeDownload(FILES, false));
    const other = await obtain(cache, new FakeDownload(FILES, false));
    expect([one.isHit, other.isHit, other.dir === one.dir]).toEqual([false, false, false]);
    await one.release();
    await other.release();
    expect(inside('entries')).toEqual([]);
  });

  it('lets one fetch while the others wait for it', async () => {
    const download = new FakeDownload(FILES);
    const { began, go } = hold(download);
    const caches = await Promise.all([open(), open(), open()]);
    const obtained = caches.map((cache) => obtain(cache, download));
    await began;
    go();
    const files = await Promise.all(obtained);
    expect([download.fetches, files.filter(({ isHit }) => isHit).length]).toEqual([1, 2]);
  });

  it('leaves nothing of a fetch that fails, and the next one takes over', async () => {
    const failing = new FakeDownload(FILES);
    failing.onFetch = (destination) => {
      mkdirSync(destination);
      writeFileSync(join(destination, 'half'), 'half');
      return Promise.reject(new Error('denied'));
    };
    const cache = await open();
    await expect(obtain(cache, failing)).rejects.toThrow('denied');
    expect([inside('entries'), inside('staging'), inside('locks'), inside('uses')]).toEqual([[], [], [], []]);
    expect((await obtain(cache, new FakeDownload(FILES))).isHit).toBe(false);
  });

  it('gives up waiting when it is told to stop', async () => {
    const stop = new AbortController();
    const download = new FakeDownload(FILES);
    const { began, go } = hold(download);
    const cache = await open();
    const first = obtain(cache, download);
    await began;
    const waiting = cache.obtain(download, stop.signal);
    stop.abort(new Error('told to stop'));
    await expect(waiting).rejects.toThrow('told to stop');
    go();
    expect((await first).isHit).toBe(false);
  });

  it.each<[string, (files: string) => void]>([
    [
      'a file is missing',
      (files) => {
        rmSync(join(files, 'model.onnx'));
      },
    ],
    [
      'a file is shorter',
      (files) => {
        rewrite(join(files, 'model.onnx'), 'mod');
      },
    ],
    [
      'a file of the same size was written',
      (files) => {
        rewrite(join(files, 'model.onnx'), 'MODEL');
      },
    ],
    [
      'a file was added',
      (files) => {
        writeFileSync(join(files, 'handler.mjs'), 'evil');
      },
    ],
    [
      'the manifest is missing',
      (files) => {
        rmSync(join(files, '../manifest.json'));
      },
    ],
    [
      'the manifest was changed',
      (files) => {
        rewrite(join(files, '../manifest.json'), readFileSync(join(files, '../manifest.json'), 'utf8').replace('model.onnx', 'model.onny'));
      },
    ],
  ])('fetches again when %s', async (_what, damage) => {
    const cache = await open();
    const first = await obtain(cache, new FakeDownload(FILES));
    await first.release();
    damage(first.dir);
    const again = await obtain(cache, new FakeDownload(FILES));
    expect(again.isHit).toBe(false);
    expect(readFileSync(join(again.dir, 'model.onnx'), 'utf8')).toBe('model');
    expect(existsSync(join(again.dir, 'handler.mjs'))).toBe(false);
    expect(inside('staging')).toEqual([]);
  });

  it('fetches again what no longer passes the pin it came with', async () => {
    const cache = await open();
    await (await obtain(cache, new FakeDownload(FILES))).release();
    const mistrusting = new FakeDownload(FILES);
    mistrusting.mistrust = 'not what was pinned';
    expect((await obtain(cache, mistrusting)).isHit).toBe(false);
  });

  it('leaves what others serve when the fetch of one that does not trust it fails', async () => {
    const cache = await open();
    const served = await obtain(cache, new FakeDownload(FILES));
    const mistrusting = new FakeDownload(FILES);
    mistrusting.mistrust = 'not what was pinned';
    mistrusting.onFetch = () => Promise.reject(new Error('not what was pinned'));
    await expect(obtain(cache, mistrusting)).rejects.toThrow('not what was pinned');
    expect(readFileSync(join(served.dir, 'model.onnx'), 'utf8')).toBe('model');
    expect([inside('entries').length, inside('staging'), inside('locks'), inside('uses').length]).toEqual([1, [], [], 1]);
  });

  it('removes what was not used for longest, nothing in use, and keeps its bound', async () => {
    const bytes = (text: string): FakeDownload => new FakeDownload({ model: text });
    const cache = await open(10);
    const used = await obtain(cache, bytes('aaaa'));
    const idle = await obtain(cache, bytes('bbbb'));
    await idle.release();
    age(idle.dir, 10);
    const third = await obtain(cache, bytes('cccc'));
    expect([existsSync(used.dir), existsSync(idle.dir), existsSync(third.dir)]).toEqual([true, false, true]);
    expect(await cache.obtain(bytes('dddd'), signal)).toBeUndefined();
    expect(await cache.obtain(bytes('x'.repeat(11)), signal)).toBeUndefined();
    expect([existsSync(used.dir), existsSync(third.dir), inside('uses').length]).toEqual([true, true, 2]);
    await third.release();
    expect(await cache.obtain(bytes('dddd'), signal)).toBeDefined();
    expect(existsSync(third.dir)).toBe(false);
  });

  it('that keeps nothing removes an entry with its last use', async () => {
    const cache = await open(0, false);
    const [one, other] = [await obtain(cache, new FakeDownload(FILES)), await obtain(cache, new FakeDownload(FILES))];
    await one.release();
    expect(existsSync(other.dir)).toBe(true);
    await other.release();
    expect([inside('entries'), inside('staging'), inside('uses')]).toEqual([[], [], []]);
  });

  it('works again after its directory was emptied', async () => {
    const cache = await open();
    await obtain(cache, new FakeDownload(FILES));
    for (const name of readdirSync(dir)) rmSync(join(dir, name), { recursive: true });
    expect((await obtain(cache, new FakeDownload(FILES))).isHit).toBe(false);
  });

  it('removes at its opening what others left in the middle of something', async () => {
    await open();
    const root = join(dir, readdirSync(dir)[0] ?? '');
    const longAgo = new Date(Date.now() - 3_600_000);
    mkdirSync(join(root, 'staging/abc'));
    writeFileSync(join(root, 'locks/key'), `${JSON.stringify({ owner: deadOwner(), staging: 'abc' })}\n`);
    utimesSync(join(root, 'locks/key'), longAgo, longAgo);
    await open();
    expect([inside('staging'), inside('locks')]).toEqual([[], []]);
  });

  it('refuses a directory that somebody else could write to', async () => {
    const target = join(dir, 'elsewhere');
    mkdirSync(target);
    await open();
    const root = readdirSync(dir).find((name) => name.startsWith('kserve-node-')) ?? '';
    rmSync(join(dir, root), { recursive: true });
    writeFileSync(join(dir, root), '');
    await expect(open()).rejects.toThrow(/^Cannot keep models in .*--model_cache$/);
  });

  it('takes away from others what they may do to its directory', async () => {
    await open();
    const root = join(dir, readdirSync(dir)[0] ?? '');
    chmodSync(root, 0o777);
    await open();
    expect(statSync(root).mode & 0o777).toBe(0o700);
  });
});

function rewrite(path: string, text: string): void {
  rmSync(path);
  writeFileSync(path, text);
  const later = new Date(Date.now() + 5000);
  utimesSync(path, later, later);
}

function age(filesDir: string, seconds: number): void {
  const then = new Date(Date.now() - seconds * 1000);
  utimesSync(join(filesDir, '../manifest.json'), then, then);
}
