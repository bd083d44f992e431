import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { KnownFacts } from '../../../../src/storage/cache/known-facts.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'kserve-node-known-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

describe('KnownFacts', () => {
  it('reads what somebody else wrote last, and nothing for other names', async () => {
    const known = join(dir, 'known');
    expect(await new KnownFacts(known).read('a')).toBeUndefined();
    await new KnownFacts(known).write('a', { digest: 1 });
    await new KnownFacts(known).write('a', { digest: 2 });
    expect(await new KnownFacts(known).read('a')).toEqual({ digest: 2 });
    expect(await new KnownFacts(known).read('b')).toBeUndefined();
    expect(readdirSync(known)).toEqual(['a']);
  });

  it('knows nothing of a file that breaks off', async () => {
    writeFileSync(join(dir, 'a'), '{"digest":');
    expect(await new KnownFacts(dir).read('a')).toBeUndefined();
  });

  it('keeps the thousand newest', async () => {
    for (let i = 0; i < 1001; i++) {
      writeFileSync(join(dir, `old${i}`), '1');
      utimesSync(join(dir, `old${i}`), 1000 + i, 1000 + i);
    }
    await new KnownFacts(dir).write('new', 1);
    const names = readdirSync(dir);
    expect(names).toHaveLength(1000);
    expect(names).toContain('new');
    expect(names).not.toContain('old0');
    expect(names).not.toContain('old1');
  });
});
