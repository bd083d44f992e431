import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const FIXTURES = join(import.meta.dirname, '../fixtures');

export interface TemporaryRepository {
  readonly dir: string;
  remove(): void;
}

/** A model repository in a temporary directory: name of the model -> fixture folder, e.g. `models/digits-mlp`. */
export function createTemporaryRepository(models: Readonly<Record<string, string>>): TemporaryRepository {
  const dir = mkdtempSync(join(tmpdir(), 'kserve-node-repository-'));
  for (const [name, fixture] of Object.entries(models)) cpSync(join(FIXTURES, fixture), join(dir, name), { recursive: true });
  return {
    dir,
    remove: () => {
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
