import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { boolean, COMPATIBILITY_FLAGS, defineSection, integer, loadOptions, narrow, oneOf, text } from '../../../src/options/index.ts';

const TOKEN = narrow(text(), 'expected a token', (value) => value.startsWith('hf_'));

const SECTIONS = {
  first: defineSection({
    title: 'First',
    options: {
      port: { name: 'http_port', schema: integer(0, 65_535), default: 8080, env: ['PORT'], doc: 'port' },
      dir: { name: 'dir', schema: text('DIR'), required: true, doc: 'the directory' },
      isOn: { name: 'is_on', schema: boolean(), default: true, doc: 'switch' },
    },
  }),
  second: defineSection({
    title: 'Second',
    options: {
      instances: { name: 'instances', schema: integer(0, 9), default: 0, doc: 'instances' },
      color: { name: 'color', schema: oneOf(['red', 'green']), default: 'red', doc: 'color' },
      token: {
        name: 'hf_token',
        schema: TOKEN,
        secret: true,
        doc: 'token',
      },
    },
  }),
};

interface Sources {
  readonly argv?: readonly string[];
  readonly env?: Record<string, string>;
  readonly file?: Record<string, unknown>;
}

function load({ argv = [], env = {}, file }: Sources) {
  const files: Record<string, string> = file === undefined ? {} : { 'c.json': JSON.stringify(file) };
  const withFile = file === undefined ? argv : ['--config_file=c.json', ...argv];
  return loadOptions(SECTIONS, { argv: withFile, env, readFile: (path) => files[path] ?? '' });
}

function problemsOf(sources: Sources): readonly string[] {
  const loaded = load(sources);
  return loaded.ok ? [] : loaded.problems;
}

function portOf(sources: Sources): number | undefined {
  return load({ ...sources, argv: ['--dir=d', ...(sources.argv ?? [])] }).values.first.port;
}

describe('loadOptions', () => {
  it('fills in defaults, leaves out nothing and freezes each section', () => {
    const { ok, values } = load({ argv: ['--dir=d'] });
    expect(ok).toBe(true);
    expect(values).toEqual({ first: { port: 8080, dir: 'd', isOn: true }, second: { instances: 0, color: 'red', token: undefined } });
    expect(Object.keys(values.second)).toEqual(['instances', 'color', 'token']);
    expect(Object.isFrozen(values.first)).toBe(true);
    expect(Object.isFrozen(values.second)).toBe(true);
  });

  it('lets the highest of flag, our variable, foreign variable, file and default win, whatever else is given', () => {
    fc.assert(
      fc.property(fc.boolean(), fc.boolean(), fc.boolean(), fc.boolean(), (flag, own, foreign, file) => {
        const expected = flag ? 1 : own ? 2 : foreign ? 3 : file ? 4 : 8080;
        const port = portOf({
          argv: flag ? ['--http-port=1'] : [],
          env: { ...(own ? { KSERVE_NODE_HTTP_PORT: '2' } : {}), ...(foreign ? { PORT: '3' } : {}) },
          ...(file ? { file: { http_port: 4 } } : {}),
        });
        expect(port).toBe(expected);
      }),
    );
  });

  it('finds the config file through its variable too, and the flag wins over it', () => {
    const readFile = (path: string): string => JSON.stringify({ dir: path });
    const dirOf = (argv: string[]): unknown =>
      loadOptions(SECTIONS, { argv, env: { KSERVE_NODE_CONFIG_FILE: 'env.json' }, readFile }).values.first.dir;
    expect(dirOf([])).toBe('env.json');
    expect(dirOf(['--config-file', 'flag.json'])).toBe('flag.json');
  });

  it('reports everything that is wrong in every source at once, one line each', () => {
    const problems = problemsOf({
      argv: ['--colour=red', '--http_port=99999', 'stray', '--color=blue', '--is_on=1', '--is-on=0'],
      env: { KSERVE_NODE_INSTANCES: 'many', KSERVE_NODE_HTPP_PORT: '1' },
      file: { is_on: 'perhaps', coler: 'red' },
    });
    expect(problems).toEqual([
      'unknown flag --colour, did you mean --color?',
      'unexpected argument "stray", options are written --name=value',
      '--is_on: given more than once',
      'unknown variable KSERVE_NODE_HTPP_PORT, did you mean KSERVE_NODE_HTTP_PORT?',
      'c.json: unknown key "coler", did you mean color?',
      '--http_port: expected a whole number from 0 to 65535, got "99999"',
      '--dir=DIR is required: the directory',
      'c.json: is_on: expected true or false, got "perhaps"',
      'KSERVE_NODE_INSTANCES: expected a whole number from 0 to 9, got "many"',
      '--color: expected red or green, got "blue"',
    ]);
  });

  it('checks what another source overrides, but not a foreign variable that nobody meant for us', () => {
    expect(problemsOf({ argv: ['--dir=d', '--http_port=1'], env: { KSERVE_NODE_HTTP_PORT: 'x', PORT: 'y' } })).toEqual([
      'KSERVE_NODE_HTTP_PORT: expected a whole number from 0 to 65535, got "x"',
    ]);
    expect(problemsOf({ argv: ['--dir=d'], env: { PORT: 'y' } })).toEqual(['PORT: expected a whole number from 0 to 65535, got "y"']);
  });

  it('keeps what could be read beside a problem', () => {
    expect(load({ argv: ['--http_port=x', '--color=green'] }).values).toMatchObject({ first: { port: undefined }, second: { color: 'green' } });
  });

  it('never prints a secret, from whatever source it came', () => {
    for (const sources of [
      { argv: ['--hf_token=s3cret'] },
      { argv: ['--hf-token', 's3cret'] },
      { argv: ['--hf_tokn=s3cret'] },
      { argv: ['--hf_token=hf_1', '--hf_token=s3cret'] },
      { env: { KSERVE_NODE_HF_TOKEN: 's3cret' } },
      { env: { KSERVE_NODE_HF_TOKN: 's3cret' } },
      { file: { hf_token: 's3cret' } },
      { file: { hf_tokn: 's3cret' } },
      { file: { hf_token: ['s3cret'] } },
    ]) {
      const problems = problemsOf({ ...sources, argv: ['--dir=d', ...(sources.argv ?? [])] });
      expect(problems).toHaveLength(1);
      expect(problems.join()).not.toContain('s3cret');
    }
    expect(problemsOf({ argv: ['--dir=d', '--hf_token=s3cret'] })).toEqual(['--hf_token: expected a token, got ***']);
  });

  it('shows a value on one line and of bounded length', () => {
    const [problem = ''] = problemsOf({ argv: ['--dir=d', `--color=a\nb${'x'.repeat(10_000)}`] });
    expect(problem).toMatch(/^--color: expected red or green, got "a\\nbx+…$/);
    expect(problem.length).toBeLessThan(200);
  });
});

describe("KServe's flags that are no options", () => {
  const given = (name: string): string[] => [`--${name}`, ...(COMPATIBILITY_FLAGS.find((flag) => flag.name === name)?.isBoolean ? [] : ['1'])];

  it.each(COMPATIBILITY_FLAGS.map(({ name }) => name))('--%s is accepted with one warning', (name) => {
    const loaded = load({ argv: ['--dir=d', ...given(name)] });
    expect(loaded).toMatchObject({ ok: true, warnings: [expect.stringMatching(`^--${name} is (ignored|taken as --instances): .`)] });
  });

  it('--workers is taken as --instances unless that is given anywhere', () => {
    const argv = ['--dir=d', '--workers=4'];
    expect(load({ argv }).values.second.instances).toBe(4);
    for (const more of [{ argv: [...argv, '--instances=2'] }, { argv, env: { KSERVE_NODE_INSTANCES: '2' } }, { argv, file: { instances: 2 } }]) {
      const loaded = load(more);
      expect(loaded.values.second.instances).toBe(2);
      expect(loaded).toMatchObject({ warnings: ['--workers is ignored: one process serves all requests'] });
    }
    expect(problemsOf({ argv: ['--dir=d', '--workers=many'] })).toEqual(['--workers: expected a whole number from 0 to 9, got "many"']);
  });
});
