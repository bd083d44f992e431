import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { createHandlerRepository, type HandlerRepository } from '../support/handler-repository.ts';
import { startServerProcess, type ServerProcess, type StartOptions } from '../support/server.ts';
import { modelDir } from '../support/vectors.ts';

const IMPORT = `import { defineHandler } from 'kserve-node';\n`;
const ECHO = `${IMPORT}export default defineHandler({ predict: (request) => request.inputs });\n`;
const MODEL = readFileSync(join(modelDir('digits-mlp'), 'model.onnx'));

let repository: HandlerRepository;
let server: ServerProcess | undefined;
afterEach(() => {
  server?.process.kill('SIGKILL');
  repository.remove();
});

async function start(args: readonly string[], options: StartOptions = {}): Promise<ServerProcess> {
  return (server = await startServerProcess(args, options));
}

/** Exit code and all that was written, without the log. */
async function refusalOf(args: readonly string[]): Promise<readonly [code: number | string, lines: string[]]> {
  const refusing = await start(args, { isLoose: true });
  const code = await refusing.exit;
  const lines = refusing.output().split('\n');
  return [code, lines.filter((line) => line !== '' && !line.startsWith('{'))];
}

/** Name, file, its text, what the one line says beside the file. */
const REFUSALS: readonly (readonly [name: string, file: string, text: string | undefined, says: RegExp])[] = [
  ['is missing', 'missing.mjs', undefined, /missing\.mjs: there is no such file$/],
  ['has another ending', 'handler.py', 'print()', /handler\.py.* \.ts, \.mts, \.js, \.mjs/],
  [
    'does not parse',
    'broken.mjs',
    `${IMPORT}export default defineHandler({ predict() { return 1; ));\n`,
    /broken\.mjs:2: SyntaxError: Unexpected token/,
  ],
  [
    'does not parse as TypeScript',
    'broken.ts',
    `${IMPORT}export default defineHandler({\n  predict(x: number { return 1; },\n});\n`,
    /broken\.ts:3: SyntaxError: Expected/,
  ],
  ['exports nothing', 'empty.mjs', 'const unused = 1;\n', /empty\.mjs: it exports nothing, expected `export default defineHandler/],
  ['has no default export', 'named.mjs', ECHO.replace('default', 'const handler ='), /named\.mjs: it exports only handler, expected `export default/],
  ['exports something else', 'other.mjs', 'export default 7;\n', /other\.mjs: its default export is .*7.*, expected `export default/],
  [
    'misnames a method',
    'misnamed.mjs',
    ECHO.replace('predict:', 'preprocces:'),
    /misnamed\.mjs:2: .*unknown member "preprocces", did you mean preprocess\?/,
  ],
  ['has a method that is none', 'number.mjs', ECHO.replace('(request) => request.inputs', '7'), /number\.mjs:2: .*predict must be a function, got/],
  ['lacks a library', 'library.mjs', `import 'left-out';\n${ECHO}`, /library\.mjs:1: cannot find left-out: install it beside the handler/],
  [
    'fails in load',
    'loading.mjs',
    ECHO.replace('predict:', "load() { throw new Error('no vocabulary'); }, predict:"),
    /loading\.mjs failed in load: Error: no vocabulary$/,
  ],
];

describe('a server whose handler', () => {
  it.each(REFUSALS)('%s does not start and says so in one line', async (_, file, text, says) => {
    repository = createHandlerRepository(text === undefined ? {} : { [file]: text });
    const [code, lines] = await refusalOf(['--model_name=m', `--handler=${join(repository.dir, file)}`]);
    expect(lines).toEqual([expect.stringMatching(says)]);
    expect(code).toBe(2);
  });
});

describe('a handler in the model directory', () => {
  it('is left alone without the flag, which one line says', async () => {
    repository = createHandlerRepository({ 'digits/model.onnx': MODEL, 'digits/handler.mjs': 'process.exit(9);\n' });
    const running = await start([`--model_dir=${repository.dir}`]);
    await running.waitFor(/"message":"Serving"/);
    const records = running
      .output()
      .split('\n')
      .filter((line) => line.includes('handler.mjs'));
    expect(records).toHaveLength(1);
    expect(JSON.parse(records[0]!)).toMatchObject({
      model: 'digits',
      handler: join(repository.dir, 'digits/handler.mjs'),
      message: expect.stringContaining('--enable_model_handlers=true') as string,
    });
    const data = new Array<number>(64).fill(0.5);
    const response = await fetch(`${running.url}/v1/models/digits:predict`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ instances: [data] }),
    });
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ predictions: [{ label: expect.any(Number) as number }] });
    expect(await running.stop()).toBe(0);
  });

  it('that is broken takes its own model out, not the others', async () => {
    repository = createHandlerRepository({ 'good/handler.mjs': ECHO, 'bad/handler.mjs': ECHO.replace('predict:', 'predikt:') });
    const running = await start([`--model_dir=${repository.dir}`, '--enable_model_handlers=true'], { isLoose: true });
    await running.waitFor(/"message":"Serving"/);
    await running.waitFor(/"model":"bad"[^\n]*bad\/handler\.mjs:2: [^\n]*did you mean predict\?/);
    expect((await fetch(`${running.url}/v2/models/good/ready`)).status).toBe(200);
    const bad = await fetch(`${running.url}/v2/models/bad/infer`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"inputs":[]}',
    });
    expect([bad.status, await bad.text()]).toEqual([503, expect.stringContaining('bad')]);
    expect(await running.stop()).toBe(0);
  });
});
