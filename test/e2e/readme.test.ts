import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadAll } from 'js-yaml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { crdProblems, type Manifest } from '../support/crd.ts';
import { startServerProcess, type ServerProcess } from '../support/server.ts';

const ROOT = join(import.meta.dirname, '../..');
const README = readFileSync(join(ROOT, 'README.md'), 'utf8');

interface Block {
  readonly language: string;
  readonly code: string;
}

const blocks: Block[] = [...README.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(([, language = '', code = '']) => ({ language, code }));
const commands = blocks.filter(({ language }) => language === 'sh').map(({ code }) => code.trim());

let server: ServerProcess;
const scratch = join(ROOT, 'dist/.readme');
beforeAll(async () => {
  mkdirSync(scratch, { recursive: true });
  server = await startServerProcess(['--model_name=digits', '--model_dir=examples/digits/model'], { cwd: ROOT });
});
afterAll(async () => {
  rmSync(scratch, { recursive: true, force: true });
  expect(await server.stop()).toBe(0);
});

/** The commands speak of the ports that `npm start` takes; the test's server has others. */
const here = (text: string): string => text.replaceAll('localhost:8080', new URL(server.url).host).replaceAll('localhost:8081', server.grpcAddress);

const shell = (command: string): string => execFileSync('bash', ['-c', here(command)], { cwd: ROOT, encoding: 'utf8', timeout: 50_000 });

const isHandler = (code: string): boolean => code.includes('defineHandler');

/** Started by other tests: each with the test that does it. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  'npm start': 'test/newcomer.sh',
  'npm test': 'this run',
};

describe('README', () => {
  it('has only blocks of the languages that are run here', () => {
    expect([...new Set(blocks.map(({ language }) => language))].sort()).toEqual(['json', 'sh', 'ts']);
  });

  it('prints the answer that the curl before it gets', () => {
    const at = blocks.findIndex(({ language }) => language === 'json');
    expect(blocks[at - 1]?.code).toContain('curl');
    expect(JSON.parse(blocks[at]!.code)).toEqual(JSON.parse(shell(blocks[at - 1]!.code)));
  });

  it.each(commands.filter((command) => command.startsWith('curl') || command.startsWith('npx tsx')))('runs: %s', (command) => {
    expect(shell(command)).toMatch(/predictions|outputs|accuracy/i);
  });

  it('inspects a model with the command it shows', () => {
    const command = commands.find((candidate) => candidate.startsWith('npx kserve-node inspect'))!;
    expect(shell(command.replace('npx kserve-node', 'node dist/main.cjs'))).toContain('probabilities');
  });

  it('serves a model with the command it shows', async () => {
    const command = commands.find((candidate) => candidate.startsWith('npx kserve-node serve'))!;
    const args = command.split(' ').filter((word) => word.startsWith('--') && !word.startsWith('--http_port'));
    const own = await startServerProcess(args, { cwd: ROOT });
    expect(await (await fetch(`${own.url}/v2/models`)).json()).toEqual({ models: ['digits'] });
    expect(await own.stop()).toBe(0);
  });

  it('serves the handler it shows, which answers what it says', async () => {
    const at = blocks.findIndex(({ code }) => isHandler(code));
    const [handler, command, curl, answer] = blocks.slice(at, at + 4).map(({ code }) => code.trim());
    const file = join(scratch, 'handler.ts');
    writeFileSync(file, handler!);
    const args = command!.split(' ').filter((word) => word.startsWith('--'));
    const own = await startServerProcess(
      args.map((arg) => arg.replace('handler.ts', file)),
      { cwd: ROOT },
    );
    const run = curl!.replace('localhost:8080', new URL(own.url).host);
    expect(JSON.parse(execFileSync('bash', ['-c', run], { cwd: ROOT, encoding: 'utf8', timeout: 50_000 }))).toEqual(JSON.parse(answer!));
    expect(await own.stop()).toBe(0);
  });

  it('loads a model with the command it shows', () => {
    const command = commands.find((candidate) => candidate.startsWith('npx kserve-node bench'))!;
    const quick = command.replace('npx kserve-node', 'node dist/main.cjs').replace('--duration=3', '--duration=0.2 --warmup=0');
    expect(shell(quick)).toMatch(/^concurrency +requests\/s/m);
  });

  it.each(commands.filter((command) => /^npx kserve-node (manifest|rollout) /.test(command)))(
    'prints manifests that the API server takes: %s',
    (command) => {
      const printed = loadAll(shell(command.replace('npx kserve-node', 'node dist/main.cjs'))) as Manifest[];
      expect(printed.length).toBeGreaterThan(0);
      for (const manifest of printed) if (manifest.kind === 'InferenceService') expect(crdProblems(manifest)).toEqual([]);
    },
  );

  it('has no command that nothing runs', () => {
    const isRun = (command: string): boolean =>
      /^(curl|npx tsx|npx kserve-node (bench|inspect|manifest|rollout|serve)) /.test(command) || command in ELSEWHERE;
    expect(commands.filter((command) => !isRun(command))).toEqual([]);
  });

  it.each(blocks.filter(({ language, code }) => language === 'ts' && !isHandler(code)).map(({ code }, i) => [i + 1, code] as const))(
    'runs TypeScript block %i',
    (i, code) => {
      const file = join(scratch, `block-${String(i)}.mts`);
      writeFileSync(file, here(code));
      const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', file], { cwd: ROOT, encoding: 'utf8', timeout: 50_000 });
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      expect(stdout).toContain('BigInt64Array');
    },
  );
});
