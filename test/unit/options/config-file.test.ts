import { describe, expect, it } from 'vitest';
import { readConfigFile } from '../../../src/options/config-file.ts';
import { boolean, integer, type Option } from '../../../src/options/index.ts';

const OPTIONS: readonly Option[] = [
  { name: 'http_port', schema: integer(0, 65_535), doc: 'port' },
  { name: 'enable_grpc', schema: boolean(), doc: 'grpc' },
];

const read = (content: string) => readConfigFile('c.json', () => content, OPTIONS);

describe('readConfigFile', () => {
  it('reads options by name, with - or _, as JSON values', () => {
    const { given, problems } = read('\uFEFF{"http-port": 9000, "enable_grpc": false}');
    expect(problems).toEqual([]);
    expect(Object.fromEntries(given)).toEqual({
      http_port: { value: 9000, origin: 'c.json: http_port' },
      enable_grpc: { value: false, origin: 'c.json: enable_grpc' },
    });
  });

  it.each([
    ['{"htp_port": 1}', 'c.json: unknown key "htp_port", did you mean http_port?'],
    ['{"config_file": "d.json"}', 'c.json: unknown key "config_file"'],
    ['{"__proto__": 1}', 'c.json: unknown key "__proto__"'],
    ['{"constructor": 1}', 'c.json: unknown key "constructor"'],
    ['{"http_port": 1, "http-port": 2}', 'c.json: http_port: given more than once'],
    ['{"http_port": null}', 'c.json: http_port: expected text, a number or a boolean, got null'],
    ['{"http_port": [1]}', 'c.json: http_port: expected text, a number or a boolean, got an array'],
    ['{"http_port": {"a": 1}}', 'c.json: http_port: expected text, a number or a boolean, got an object'],
    ['[]', 'c.json: expected a JSON object of options, got an array'],
    ['null', 'c.json: expected a JSON object of options, got null'],
    ['"x"', 'c.json: expected a JSON object of options, got a string'],
    ['', 'c.json: not valid JSON'],
  ])('refuses %s', (content, problem) => {
    expect(read(content).problems).toEqual([problem]);
  });

  it('names the place of a syntax error where it is known, and never quotes the text', () => {
    for (const content of ['{"token": s3cret}', '{"token": "s3cret"', '{\n  "token": "s3cret",\n}', '{"token": "s3cret\n"}']) {
      const { problems } = read(content);
      expect(problems).toEqual([expect.stringMatching(/^c\.json: not valid JSON( at line \d+, column \d+)?$/)]);
    }
    expect(read('{\n  "a": 1,\n}').problems).toEqual(['c.json: not valid JSON at line 3, column 1']);
  });

  it('says why a file cannot be read', () => {
    const missing = () => {
      throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
    };
    expect(readConfigFile('/no/such', missing, OPTIONS).problems).toEqual(['--config_file: cannot read "/no/such" (ENOENT)']);
  });
});
