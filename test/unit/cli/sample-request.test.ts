import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sampleBody, sampleCurl, sampleInputs } from '../../../src/cli/sample-request.ts';
import { DATATYPES } from '../../../src/core/datatype.ts';
import type { TensorMetadata } from '../../../src/core/metadata.ts';

const URL = 'http://localhost:8080';

/** Runs the line in a shell whose `curl` prints its arguments and what `-d @-` would send. */
function paste(line: string): { args: string[]; stdin: string } {
  const shell = `curl() { for a in "$@"; do printf '%s\\0' "$a"; done; case "$*" in *"-d @-") cat;; esac; }\n${line}`;
  const parts = execFileSync('sh', ['-c', shell], { encoding: 'utf8', env: { PATH: process.env['PATH'] } }).split('\0');
  return { args: parts.slice(0, -1), stdin: parts.at(-1) ?? '' };
}

function tensor(name: string, shape: readonly number[], datatype: TensorMetadata['datatype'] = 'FP32'): TensorMetadata {
  return { name, datatype, shape };
}

describe('sampleInputs', () => {
  it('makes every varying dimension 1 and keeps the others', () => {
    expect(sampleInputs([tensor('x', [-1, 3, -1, 2])])).toEqual([{ name: 'x', datatype: 'FP32', shape: [1, 3, 1, 2], element: 0, count: 6 }]);
    expect(sampleInputs([tensor('s', []), tensor('z', [-1, 0])]).map(({ count }) => count)).toEqual([1, 0]);
  });

  it('has an element for each datatype that JSON can carry', () => {
    const elements = sampleInputs(DATATYPES.map((datatype) => tensor(datatype, [1], datatype))).map(({ datatype, element }) => [
      datatype,
      typeof element,
    ]);
    for (const [datatype, type] of elements) expect(type).toBe(datatype === 'BYTES' ? 'string' : datatype === 'BOOL' ? 'boolean' : 'number');
  });
});

describe('sampleBody', () => {
  it('is a request of the protocol', () => {
    const body = sampleBody(sampleInputs([tensor('x', [-1, 2]), tensor('s', [1], 'BYTES'), tensor('b', [], 'BOOL')]));
    expect(JSON.parse(body ?? '')).toEqual({
      inputs: [
        { name: 'x', datatype: 'FP32', shape: [1, 2], data: [0, 0] },
        { name: 's', datatype: 'BYTES', shape: [1], data: ['text'] },
        { name: 'b', datatype: 'BOOL', shape: [], data: [false] },
      ],
    });
  });

  it('is left out when nobody would read it', () => {
    expect(sampleBody(sampleInputs([tensor('x', [1, 3, 224, 224])]))).toBeUndefined();
  });
});

describe('sampleCurl', () => {
  it('is one line that sends the body to the model', () => {
    const line = sampleCurl(URL, 'digits', sampleInputs([tensor('x', [-1, 2])]));
    expect(line).toBe(
      `curl -s http://localhost:8080/v2/models/digits/infer -H 'Content-Type: application/json' -d '{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[0,0]}]}'`,
    );
  });

  it('survives a shell whatever the names are', () => {
    const printable = fc.string({ unit: 'grapheme' }).map((text) => text.replaceAll('\0', ''));
    fc.assert(
      fc.property(fc.oneof(printable, fc.constantFrom("'", '"', '$HOME', '`id`', '\\', "a'b'c", '!x', '-d', '@-', 'a b;c')), (name) => {
        const inputs = sampleInputs([tensor(name, [1])]);
        const { args } = paste(sampleCurl(URL, name, inputs));
        expect(args).toEqual([
          '-s',
          `${URL}/v2/models/${encodeURIComponent(name)}/infer`,
          '-H',
          'Content-Type: application/json',
          '-d',
          sampleBody(inputs),
        ]);
      }),
      { numRuns: 40, examples: [["it's"]] },
    );
  });

  it('makes a body too long to read on the fly', () => {
    const line = sampleCurl(URL, 'm', sampleInputs([tensor("it's", [1, 3, 64, 64]), tensor('ids', [2], 'INT64'), tensor('s', [1], 'BYTES')]));
    expect(line.length).toBeLessThan(500);
    const { args, stdin } = paste(line);
    expect(args.slice(-2)).toEqual(['-d', '@-']);
    const { inputs } = JSON.parse(stdin) as { inputs: { name: string; shape: number[]; data: unknown[] }[] };
    expect(inputs.map(({ name, shape, data }) => [name, shape, data.length, data[0]])).toEqual([
      ["it's", [1, 3, 64, 64], 12_288, 0],
      ['ids', [2], 2, 0],
      ['s', [1], 1, 'text'],
    ]);
  });
});
