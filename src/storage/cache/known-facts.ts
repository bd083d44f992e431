import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Most files; a file is of a few hundred bytes. */
const MOST_FACTS = 1000;

/**
 * What is known of files, a small JSON file for each name: a name says all that the facts depend on. It spares work and nothing else: a fact that is lost
 * or unreadable is found out again. The oldest go.
 */
export class KnownFacts {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Undefined for what nobody has found out. */
  async read(name: string): Promise<unknown> {
    try {
      return JSON.parse(await readFile(join(this.#folder, name), 'utf8'));
    } catch {
      return undefined;
    }
  }

  async write(name: string, facts: unknown): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const temporary = join(this.#folder, `.${randomBytes(6).toString('hex')}`);
    try {
      await writeFile(temporary, JSON.stringify(facts), { mode: 0o600 });
      await rename(temporary, join(this.#folder, name));
    } finally {
      await rm(temporary, { force: true });
    }
    await this.#removeOldest();
  }

  async #removeOldest(): Promise<void> {
    const names = await readdir(this.#folder);
    if (names.length <= MOST_FACTS) return;
    const found = await Promise.all(
      names.map(async (name) => ({ name, at: (await stat(join(this.#folder, name)).catch(() => undefined))?.mtimeMs ?? 0 })),
    );
    found.sort((a, b) => b.at - a.at);
    for (const { name } of found.slice(MOST_FACTS)) await rm(join(this.#folder, name), { force: true });
  }
}
