import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { download, findUnfinishedDownload, type DownloadContext, type DownloadReport } from '../../../src/storage/index.ts';
import type { StorageServer } from '../../support/storage-server.ts';

/** What a scheme may be unable to do; everything else is required. */
export type Ability = 'folders' | 'checksums of files in ranges';

export interface StorageSchemeContract {
  readonly name: string;
  readonly server: StorageServer;
  /** URI of a path in the store. */
  uri(path: string): string;
  /** Key in the store of a path. */
  key(path: string): string;
  env(endpoint: string): Record<string, string>;
  readonly unsupported: readonly { readonly what: Ability; readonly reason: string }[];
}

const LARGE = randomBytes(20 * 1024 * 1024 + 17);

/** The suite that every scheme of remote storage passes. */
export function describeStorageScheme(contract: StorageSchemeContract): void {
  const { name, server, unsupported } = contract;
  const can = (what: Ability): boolean => !unsupported.some((entry) => entry.what === what);

  describe(name, () => {
    let endpoint = '';
    let dir = '';
    let dest = '';
    beforeAll(async () => {
      endpoint = await server.start();
    });
    afterAll(() => server.stop());
    beforeEach(() => {
      server.reset();
      dir = mkdtempSync(join(tmpdir(), 'kserve-node-storage-'));
      dest = join(dir, 'model');
    });
    afterEach(() => {
      rmSync(dir, { recursive: true });
    });

    const put = (files: Readonly<Record<string, string | Buffer>>): void => {
      for (const [path, content] of Object.entries(files)) server.objects.set(contract.key(path), Buffer.from(content));
    };
    const get = (path: string, ctx: Partial<DownloadContext> = {}): Promise<DownloadReport> =>
      download(withEndpoint(contract.uri(path), endpoint), dest, {
        env: contract.env(endpoint),
        signal: new AbortController().signal,
        isDurable: false,
        ...ctx,
      });
    const expectUntouched = async (): Promise<void> => {
      expect(existsSync(dest)).toBe(false);
      expect(readdirSync(dir)).toEqual([]);
      expect(await findUnfinishedDownload(dir)).toBeUndefined();
    };

    test.runIf(can('folders'))('brings every file below the path, over all pages, and no sibling', async () => {
      put({ 'own/m/a.onnx': 'A', 'own/m/b/c.json': '{}', 'own/m/b/d é&<.txt': 'D', 'own/m/e': 'E', 'own/m/f': 'F', 'own/m-old/x': 'no' });
      const report = await get('own/m');
      expect(tree(dest)).toEqual({ 'a.onnx': 'A', 'b/c.json': '{}', 'b/d é&<.txt': 'D', e: 'E', f: 'F' });
      expect(report).toMatchObject({ bytes: 6, files: 5, retries: 0, unverified: [] });
      expect(readdirSync(dir)).toEqual(['model']);
    });

    test('brings the one file that is named', async () => {
      put({ 'own/m/model.onnx': 'M' });
      await get('own/m/model.onnx');
      expect(Object.values(tree(dest))).toEqual(['M']);
    });

    test('reads a large file in ranges, each with the version that was listed', async () => {
      put({ 'own/m/large.bin': LARGE });
      const report = await get('own/m/large.bin');
      expect(onlyFile(dest).equals(LARGE)).toBe(true);
      expect(server.reads.filter(({ range }) => range !== 'bytes=0-0')).toHaveLength(3);
      expect(report.unverified).toEqual(can('checksums of files in ranges') ? [] : ['large.bin']);
    });

    test('goes on where a connection broke off', async () => {
      put({ 'own/m/large.bin': LARGE });
      server.faults.push({ kind: 'reset', afterBytes: 3_000_000 }, { kind: 'reset', afterBytes: 100 }, { kind: 'reset', afterBytes: 0 });
      const report = await get('own/m/large.bin');
      expect(onlyFile(dest).equals(LARGE)).toBe(true);
      expect(report.retries).toBe(3);
      expect(report.bytes).toBe(LARGE.length);
    });

    test.each([
      ['500', { kind: 'status', status: 500 }],
      ['503 SlowDown', { kind: 'status', status: 503, code: 'SlowDown' }],
      ['429', { kind: 'status', status: 429, code: 'TooManyRequests' }],
      ['a stall', { kind: 'stall', afterBytes: 2 }],
      ['a reset before the first byte', { kind: 'reset', afterBytes: 0 }],
      ['a reset after some bytes', { kind: 'reset', afterBytes: 3 }],
    ] as const)('tries again after %s', async (_what, fault) => {
      put({ 'own/m/model.onnx': 'model' });
      server.faults.push(fault);
      const report = await get('own/m/model.onnx', { stallTimeoutMs: 1000 });
      expect(Object.values(tree(dest))).toEqual(['model']);
      expect(report.retries).toBe(1);
    });

    test('fetches a file again whose bytes do not have the checksum of the store', async () => {
      put({ 'own/m/model.onnx': 'model' });
      server.faults.push({ kind: 'corrupt' });
      const report = await get('own/m/model.onnx');
      expect(Object.values(tree(dest))).toEqual(['model']);
      expect(report.retries).toBe(1);
    });

    test.runIf(can('checksums of files in ranges'))('fetches a file in ranges again when one of them is wrong', async () => {
      put({ 'own/m/large.bin': LARGE });
      server.faults.push({ kind: 'corrupt' });
      await get('own/m/large.bin');
      expect(onlyFile(dest).equals(LARGE)).toBe(true);
    });

    test('leaves nothing when the bytes stay wrong', async () => {
      put({ 'own/m/model.onnx': 'model' });
      for (let i = 0; i < 10; i++) server.faults.push({ kind: 'corrupt' });
      await expect(get('own/m/model.onnx')).rejects.toThrow(/model\.onnx.*checksum/);
      await expectUntouched();
    });

    test('leaves nothing when the store fails for good', async () => {
      put({ 'own/m/model.onnx': 'model' });
      for (let i = 0; i < 10; i++) server.faults.push({ kind: 'status', status: 500 });
      await expect(get('own/m/model.onnx')).rejects.toThrow(/^Cannot download .*500.*, 5 attempts failed$/);
      await expectUntouched();
    });

    test('leaves nothing of a large file that changes while it is read', async () => {
      put({ 'own/m/large.bin': LARGE });
      let reads = 0;
      server.onRead = (changed) => {
        if (++reads === 3) server.objects.set(changed, Buffer.from(LARGE.map((byte) => byte ^ 255)));
      };
      await expect(get('own/m/large.bin')).rejects.toThrow(/chang|checksum|not found/);
      await expectUntouched();
    });

    test('leaves nothing when it is told to stop', async () => {
      put({ 'own/m/large.bin': LARGE });
      const stop = new AbortController();
      server.onRead = () => {
        stop.abort(new Error('told to stop'));
      };
      await expect(get('own/m/large.bin', { signal: stop.signal })).rejects.toThrow('told to stop');
      await expectUntouched();
    });

    test.each([
      [401, 'AuthenticationFailed', /authentication failed/, 'unauthenticated'],
      [403, 'AccessDenied', /access denied/, 'permission_denied'],
      [404, 'NotFound', /not found/, 'model_not_found'],
    ] as const)('says in one line what %i means, and leaves nothing', async (status, code, message, reason) => {
      server.refusal = { status, code };
      const failure = get('own/m/model.onnx');
      await expect(failure).rejects.toThrow(message);
      await expect(failure).rejects.toMatchObject({
        reason,
        message: expect.stringMatching(new RegExp(`^Cannot download [^ ]+: [^\n]*${status}[^\n]*$`)) as unknown,
      });
      await expectUntouched();
    });

    test.runIf(can('folders'))('refuses names that lead out of the destination', async () => {
      put({ 'own/m/good': 'x', 'own/m/../../evil': 'x' });
      await expect(get('own/m')).rejects.toThrow(/leaves the destination/);
      await expectUntouched();
    });

    test.runIf(can('folders'))('says so when there is nothing at the path', async () => {
      put({ 'other/m/x': 'x' });
      await expect(get('own/m')).rejects.toMatchObject({ reason: 'model_not_found' });
      await expectUntouched();
    });
  });
}

function withEndpoint(uri: string, endpoint: string): string {
  return uri.replace('http://endpoint', endpoint);
}

function tree(dir: string, below = ''): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of readdirSync(join(dir, below)).sort()) {
    const path = below === '' ? name : `${below}/${name}`;
    if (statSync(join(dir, path)).isDirectory()) Object.assign(found, tree(dir, path));
    else found[path] = readFileSync(join(dir, path), 'latin1').slice(0, 100);
  }
  return found;
}

function onlyFile(dir: string): Buffer {
  const [path = ''] = Object.keys(tree(dir));
  return readFileSync(join(dir, path));
}
