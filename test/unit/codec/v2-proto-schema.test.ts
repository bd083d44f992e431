import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const read = (file: string): string => readFileSync(new URL(`../../../protos/${file}`, import.meta.url), 'utf8');

/** `Message.Nested field number` for every field and enum value of a .proto file. */
function fieldsOf(file: string): string[] {
  const fields: string[] = [];
  const open: { readonly kind: string; readonly name: string }[] = [];
  for (const line of read(file)
    .split('\n')
    .map((text) => text.replace(/\/\/.*/, '').trim())) {
    const block = /^(message|enum|oneof|service) (\w+) \{(\})?$/.exec(line);
    const field = /^(?:(?:repeated )?[\w.]+ |map<.+> )?(\w+) = (\d+);$/.exec(line);
    if (block?.[1] !== undefined && block[3] === undefined) open.push({ kind: block[1], name: block[2] ?? '' });
    else if (line === '}') open.pop();
    else if (field !== null) {
      const message = open.filter(({ kind }) => kind === 'message' || kind === 'enum').map(({ name }) => name);
      fields.push(`${message.join('.')} ${field[1] ?? ''} ${field[2] ?? ''}`);
    }
  }
  return fields;
}

describe('protos/README.md', () => {
  it('names the origin of every field number of the .proto files', () => {
    const rows = [...read('README.md').matchAll(/^\| ([\w.]+) \| `(\w+)` \| (\d+) \| .+ \|$/gm)].map(
      ([, message, field, number]) => `${message ?? ''} ${field ?? ''} ${number ?? ''}`,
    );
    const fields = [...fieldsOf('open_inference.proto'), ...fieldsOf('health.proto')];
    expect(fields).toContain('InferTensorContents bytes_contents 8');
    expect(rows).toEqual(fields);
  });
});
