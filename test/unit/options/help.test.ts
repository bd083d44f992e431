import { describe, expect, it } from 'vitest';
import { defineSection, integer, renderHelp, text, variableOf, type Option, type Section } from '../../../src/options/index.ts';
import { SECTIONS } from '../../../src/settings.ts';

describe('renderHelp', () => {
  it('shows flag, meaning, default and aliases, grouped by section', () => {
    const section = defineSection({
      title: 'Things',
      options: {
        count: { name: 'count', schema: integer(0), default: 3, flags: ['n'], env: ['COUNT'], doc: 'how many' },
        dir: { name: 'dir', schema: text('DIR'), required: true, doc: 'where' },
      },
    });
    expect(renderHelp({ things: section }).split('\n')).toEqual([
      'Things:',
      '  --count=INT                               how many (default 3; also --n; also variable COUNT)',
      '  --dir=DIR                                 where (required)',
      '',
      'Configuration:',
      '  --config_file=FILE                        JSON file that holds options by name, for example {"http_port":',
      '                                            9000}; flags and variables win over it',
      '',
    ]);
  });

  it('never shows the default of a secret', () => {
    const section = defineSection({
      title: 'T',
      options: { token: { name: 'token', schema: text(), default: 's3cret', secret: true, doc: 'token' } },
    });
    expect(renderHelp({ section })).toContain('(default ***)');
    expect(renderHelp({ section })).not.toContain('s3cret');
  });

  it('lists every option of the program within 110 columns', () => {
    const help = renderHelp(SECTIONS);
    const names = Object.values<Section>(SECTIONS).flatMap(({ options }) => Object.values(options).map(({ name }: Option) => name));
    for (const name of names) expect(help).toContain(`  --${name}=`);
    for (const line of help.split('\n')) expect(line.length).toBeLessThanOrEqual(110);
    expect(variableOf('http_port')).toBe('KSERVE_NODE_HTTP_PORT');
  });
});
