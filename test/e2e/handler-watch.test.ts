import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { createHandlerRepository, say, startLoad, type HandlerRepository } from '../support/handler-repository.ts';
import { startServerProcess, type ServerProcess } from '../support/server.ts';

const CLIENTS = 8;

/** A handler that says a word, its own or that of a file beside it. */
const saying = (word: string, imports = ''): string => `import { defineHandler, reply } from 'kserve-node';
${imports}
export default defineHandler({
  accepts: ['text/plain'],
  async predict() {
    await new Promise((resolve) => setTimeout(resolve, 5));
    return reply(${word}, 'text/plain');
  },
});
`;

let repository: HandlerRepository;
let server: ServerProcess | undefined;
afterEach(() => {
  server?.process.kill('SIGKILL');
  repository.remove();
});

interface Case {
  readonly name: string;
  readonly file: string;
  readonly files: Readonly<Record<string, string>>;
  readonly flags: (dir: string) => readonly string[];
  /** The edited file's text for a word. */
  readonly text: (word: string) => string;
}

const CASES: readonly Case[] = [
  {
    name: 'a handler in the model directory',
    file: 'm/handler.mjs',
    files: { 'm/handler.mjs': saying("'one'") },
    flags: (dir) => [`--model_dir=${dir}`, '--enable_model_handlers=true'],
    text: (word) => saying(`'${word}'`),
  },
  {
    name: 'a TypeScript module that the handler imports',
    file: 'project/words.ts',
    files: {
      'project/handler.ts': saying('WORD', "import { WORD } from './words.ts';"),
      'project/words.ts': "export const WORD: string = 'one';\n",
      'project/package.json': '{"type":"module"}',
    },
    flags: (dir) => ['--model_name=m', `--handler=${join(dir, 'project/handler.ts')}`],
    text: (word) => `export const WORD: string = '${word}';\n`,
  },
];

describe.each(CASES)('--watch under load: $name', ({ file, files, flags, text }) => {
  it('changes its answers with every edit and fails no request; a broken edit keeps the last good one and says why', async () => {
    repository = createHandlerRepository(files);
    const running = (server = await startServerProcess(['--watch', ...flags(repository.dir)]));
    let latest = '';
    const watchers = new Set<() => void>();
    const untilSaid = (word: string): Promise<void> =>
      new Promise((resolve) => {
        const check = (): void => {
          if (latest !== word) return;
          watchers.delete(check);
          resolve();
        };
        watchers.add(check);
        check();
      });
    const load = startLoad(CLIENTS, async () => {
      const { status, text: said } = await say(running, 'm', 'x');
      if (status !== 200 || !['one', 'two', 'three'].includes(said)) return `${status} ${said}`;
      latest = said;
      for (const watcher of [...watchers]) watcher();
      return undefined;
    });

    await untilSaid('one');
    repository.write(file, text('two'));
    await untilSaid('two');

    repository.write(file, text('two').replace('export', 'exprot'));
    await running.waitFor(/"message":"[^\n"]*could not be loaded[^\n]*\n/);
    const failure = running
      .output()
      .split('\n')
      .find((line) => line.includes('could not be loaded'))!;
    expect(JSON.parse(failure)).toMatchObject({ model: 'm', reason: expect.stringContaining('SyntaxError') as string });
    expect(failure).toContain(file);
    const answered = load.answered();
    expect((await say(running, 'm', 'x')).text).toBe('two');
    expect((await fetch(`${running.url}/v2/health/ready`)).status).toBe(200);

    repository.write(file, text('three'));
    await untilSaid('three');
    expect(load.answered()).toBeGreaterThan(answered);
    expect(await load.stop()).toEqual([]);
    expect((await say(running, 'm', 'x')).text).toBe('three');
    expect(await running.stop()).toBe(0);
  }, 180_000);
});

describe('--watch of a repository', () => {
  it('watches a model that was loaded after the start', async () => {
    repository = createHandlerRepository({ 'first/handler.mjs': saying("'one'") });
    const running = (server = await startServerProcess([
      '--watch',
      `--model_dir=${repository.dir}`,
      '--enable_model_handlers=true',
      '--log_format=json',
    ]));
    repository.write('later/handler.mjs', saying("'one'"));
    expect((await fetch(`${running.url}/v2/repository/models/later/load`, { method: 'POST' })).status).toBe(200);
    expect((await say(running, 'later', 'x')).text).toBe('one');
    repository.write('later/handler.mjs', saying("'two'"));
    await running.waitFor(/"model":"later"[^\n]*"message":"Files have changed[^]*"model":"later"[^\n]*"message":"Model loaded"/);
    expect((await say(running, 'later', 'x')).text).toBe('two');
  });
});
