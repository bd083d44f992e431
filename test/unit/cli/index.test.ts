import { describe, expect, it } from 'vitest';
import { runCli } from '../../../src/cli/index.ts';
import { packageVersion } from '../../../src/cli/version.ts';
import { FakeHost } from './fake-host.ts';

async function run(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  const host = new FakeHost({ argv });
  const code = await runCli(host);
  return { code, out: host.out, err: host.err };
}

describe('runCli', () => {
  it.each([[['version']], [['--version']]])('%j prints the version of the package', async (argv) => {
    expect(await run(...argv)).toEqual({ code: 0, out: `kserve-node ${packageVersion()}\n`, err: '' });
    expect(packageVersion()).toMatch(/^\d+\.\d+\.\d+/);
  });

  it.each([[['help']], [['--help']], [['-h']], [['help', 'help']]])('%j prints help and succeeds', async (argv) => {
    const { code, out, err } = await run(...argv);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toContain('kserve-node');
  });

  it('help names every command', async () => {
    const { out } = await run('help');
    for (const verb of ['serve', 'inspect', 'types', 'init', 'pack', 'version', 'help'])
      expect(out).toMatch(new RegExp(`^ {2}kserve-node ${verb}`, 'm'));
  });

  it.each([[['help', 'serve']], [['serve', '--help']], [['serve', '--model_dir=/x', '-h']], [['--model_name=x', '--help']]])(
    '%j lists all options',
    async (argv) => {
      const { code, out } = await run(...argv);
      expect(code).toBe(0);
      expect(out).toContain('--model_dir=DIR|URI');
      expect(out).toContain('KSERVE_NODE_<NAME>');
    },
  );

  it.each([
    [['inspect', '--help'], 'kserve-node inspect DIR [--json]'],
    [['help', 'inspect'], 'kserve-node inspect DIR [--json]'],
    [['version', '--help'], 'kserve-node version'],
  ])('%j prints how to write it', async (argv, usage) => {
    const { code, out } = await run(...argv);
    expect(code).toBe(0);
    expect(out).toContain(usage);
    expect(out).not.toContain('--model_dir');
  });

  it.each([
    [
      ['sevre'],
      'unknown command "sevre", did you mean serve? (commands: serve, inspect, types, init, pack, download, bench, manifest, rollout, version, help)\n',
    ],
    [
      ['help', 'inpsect'],
      'unknown command "inpsect", did you mean inspect? (commands: serve, inspect, types, init, pack, download, bench, manifest, rollout, version, help)\n',
    ],
    [['__proto__'], 'unknown command "__proto__" (commands: serve, inspect, types, init, pack, download, bench, manifest, rollout, version, help)\n'],
    [
      ['constructor'],
      'unknown command "constructor" (commands: serve, inspect, types, init, pack, download, bench, manifest, rollout, version, help)\n',
    ],
    [[''], 'unknown command "" (commands: serve, inspect, types, init, pack, download, bench, manifest, rollout, version, help)\n'],
  ])('%j is refused with code 2', async (argv, err) => {
    expect(await run(...argv)).toEqual({ code: 2, out: '', err });
  });

  it.each([[[]], [['serve']], [['--http_port=8080']]])('%j serves, which needs a model', async (argv) => {
    const { code, out, err } = await run(...argv);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toContain('--model_dir=DIR is required');
  });
});
