import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { ServerProcess } from './server.ts';

export interface HandlerRepository {
  readonly dir: string;
  write(path: string, text: string | Uint8Array): string;
  remove(): void;
}

/** A temporary directory with files by their path in it, e.g. `{ 'm/handler.mjs': '…' }` for a repository of one model. */
export function createHandlerRepository(files: Readonly<Record<string, string | Uint8Array>> = {}): HandlerRepository {
  const dir = mkdtempSync(join(tmpdir(), 'kserve-node-handlers-'));
  const write = (path: string, text: string | Uint8Array): string => {
    const file = join(dir, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    return file;
  };
  for (const [path, text] of Object.entries(files)) write(path, text);
  return {
    dir,
    write,
    remove: () => {
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** What a handler that takes and answers texts said. */
export interface Said {
  readonly status: number;
  readonly text: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Sends a text to a handler that accepts text/plain. */
export async function say(server: ServerProcess, model: string, text: string, headers: Readonly<Record<string, string>> = {}): Promise<Said> {
  const init = { method: 'POST', headers: { 'content-type': 'text/plain', ...headers }, body: text };
  const response = await fetch(`${server.url}/v1/models/${model}:predict`, init);
  return { status: response.status, text: await response.text(), headers: Object.fromEntries(response.headers) };
}

/** Clients that ask one after the other until they are told to stop. */
export interface Load {
  /** Answers so far. */
  readonly answered: () => number;
  /** Resolves with everything that was not as wanted, when the last answer is there. */
  stop(): Promise<readonly unknown[]>;
}

/** `ask` resolves with undefined when all is well, else with what is wrong. */
export function startLoad(clients: number, ask: () => Promise<unknown>): Load {
  let isOver = false;
  let answered = 0;
  const wrong: unknown[] = [];
  const loops = Array.from({ length: clients }, async () => {
    while (!isOver) {
      const fault = await ask().catch((error: unknown) => error);
      if (fault !== undefined) wrong.push(fault);
      answered++;
    }
  });
  return {
    answered: () => answered,
    stop: async () => {
      isOver = true;
      await Promise.all(loops);
      return wrong;
    },
  };
}
