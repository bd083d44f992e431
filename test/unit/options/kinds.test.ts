import { resolve } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { auto, boolean, bytes, integer, localPath, modelName, oneOf, pathOrUri, seconds, text, type Schema } from '../../../src/options/index.ts';

/** The value, or what was expected. */
function read(schema: Schema<unknown>, written: unknown): unknown {
  const reading = schema.read(written);
  return reading.ok ? reading.value : `refused: ${reading.expected}`;
}

describe('integer', () => {
  it('reads every whole number in range, as text and as a number', () => {
    fc.assert(
      fc.property(fc.integer({ min: -5, max: 100 }), (value) => {
        expect(read(integer(-5, 100), value)).toBe(value);
        expect(read(integer(-5, 100), String(value))).toBe(value);
      }),
    );
  });

  it.each([
    '',
    ' ',
    'abc',
    '1.5',
    '1e3',
    '0x10',
    '1_000',
    '١',
    'Infinity',
    'NaN',
    '-6',
    '101',
    1.5,
    NaN,
    Infinity,
    -6,
    101,
    true,
    null,
    undefined,
    {},
    [5],
  ])('refuses %j and says the range', (written) => {
    expect(read(integer(-5, 100), written)).toBe('refused: expected a whole number from -5 to 100');
  });

  it('refuses what a number cannot hold exactly', () => {
    expect(read(integer(0), '9007199254740993')).toBe('refused: expected a whole number from 0 on');
  });
});

describe('seconds', () => {
  it.each([
    ['1', 1000],
    ['0.5', 500],
    [2.25, 2250],
    [0, 0],
    ['0.0004', 0],
  ])('reads %j as %d milliseconds', (written, expected) => {
    expect(read(seconds({ max: 60 }), written)).toBe(expected);
  });

  it.each(['', '-1', '61', '1e1', '5m', 's', '.5', NaN, -1, true])('refuses %j', (written) => {
    expect(read(seconds({ max: 60 }), written)).toBe('refused: expected seconds from 0 to 60');
  });

  it('reads 0 as none only where that is meant', () => {
    expect(read(seconds({ zeroIsNone: true }), '0')).toBe(Infinity);
    expect(read(seconds({ zeroIsNone: true }), 0)).toBe(Infinity);
    expect(read(seconds(), '0')).toBe(0);
  });

  it('never yields more than a timer takes', () => {
    expect(read(seconds(), '2000000')).toBeLessThan(2 ** 31);
    expect(read(seconds(), '2000001')).toMatch(/^refused/);
  });
});

describe('bytes', () => {
  it.each([
    ['1048576', 2 ** 20],
    [65_536, 65_536],
    ['512KiB', 512 * 1024],
    ['512 kib', 512 * 1024],
    ['64Mi', 64 * 2 ** 20],
    ['1GiB', 2 ** 30],
    ['7B', 7],
  ])('reads %j as %d', (written, expected) => {
    expect(read(bytes(1, 2 ** 32), written)).toBe(expected);
  });

  it.each(['', '64MB', '1.5MiB', 'MiB', '-1', '-1MiB', '5GiB', '0', 0, 1.5, '99999999999999999999GiB', true])('refuses %j', (written) => {
    expect(read(bytes(1, 2 ** 32), written)).toBe('refused: expected a size from 1 to 4294967296 bytes, such as 65536, 512KiB or 64MiB');
  });

  it('takes -1 only where the range has it', () => {
    expect(read(bytes(-1, 100), '-1')).toBe(-1);
    expect(read(bytes(-1, 100), -1)).toBe(-1);
    expect(read(bytes(-1, 100), '-1KiB')).toMatch(/^refused/);
  });
});

describe('boolean', () => {
  it.each(['y', 'yes', 't', 'true', 'on', '1', 'YES', 'True', 'On', true])('reads %j as true', (written) => {
    expect(read(boolean(), written)).toBe(true);
  });

  it.each(['n', 'no', 'f', 'false', 'off', '0', 'NO', 'False', 'oFF', false])('reads %j as false', (written) => {
    expect(read(boolean(), written)).toBe(false);
  });

  it.each(['', 'maybe', '2', 'tru', 1, 0, null])('refuses %j', (written) => {
    expect(read(boolean(), written)).toBe('refused: expected true or false');
  });
});

describe('oneOf', () => {
  const schema = oneOf(['auto', 'cpu', 'cuda'], { gpu: 'cuda' });

  it.each([
    ['cpu', 'cpu'],
    ['CUDA', 'cuda'],
    ['gpu', 'cuda'],
    ['GPU', 'cuda'],
  ])('reads %j as %j', (written, expected) => {
    expect(read(schema, written)).toBe(expected);
  });

  it.each(['', 'tpu', '__proto__', 'constructor', 'toString', 5, null])('refuses %j and lists the words', (written) => {
    expect(read(schema, written)).toBe('refused: expected auto, cpu or cuda');
  });
});

describe('auto', () => {
  it('reads auto or a value of the other kind, and says both', () => {
    const schema = auto(seconds({ max: 60 }));
    expect(read(schema, 'auto')).toBe('auto');
    expect(read(schema, '7')).toBe(7000);
    expect(read(schema, 'soon')).toBe('refused: expected auto or seconds from 0 to 60');
    expect(read(schema, '61')).toBe('refused: expected auto or seconds from 0 to 60');
    expect(schema.metavar).toBe('auto|SECONDS');
  });
});

describe('localPath', () => {
  it('reads a path as an absolute one', () => {
    expect(read(localPath('DIR'), '/mnt/models')).toBe('/mnt/models');
    expect(read(localPath('DIR'), 'models/a')).toBe(resolve('models/a'));
  });

  it.each(['s3://bucket/model', 'gs://b/m', 'hf://a/b', 'https://host/model.onnx', 'pvc://claim/x', 'file:///mnt/models'])(
    'refuses %s with the reason',
    (written) => {
      expect(read(localPath('DIR'), written)).toBe('refused: expected a path on this machine');
    },
  );

  it.each(['', 5, null])('refuses %j', (written) => {
    expect(read(localPath('DIR'), written)).toBe('refused: expected a path');
  });
});

describe('pathOrUri', () => {
  it('reads a path as an absolute one, and leaves a URI as it is', () => {
    expect(read(pathOrUri('DIR|URI'), 'models/a')).toBe(resolve('models/a'));
    expect(read(pathOrUri('DIR|URI'), 's3://bucket/a//b?sha256=0')).toBe('s3://bucket/a//b?sha256=0');
  });

  it.each([
    ['', 'refused: expected a path or a URI'],
    [5, 'refused: expected a path or a URI'],
    ['s3://a\nb', 'refused: expected a path or a URI without control characters'],
  ])('refuses %j', (written, problem) => {
    expect(read(pathOrUri('DIR|URI'), written)).toBe(problem);
  });
});

describe('text and modelName', () => {
  it('refuses what is empty or would break a line', () => {
    expect(read(text(), '')).toBe('refused: expected text');
    expect(read(text(), 'a\nb')).toBe('refused: expected text without control characters');
    expect(read(text(), 5)).toBe('refused: expected text');
  });

  it.each(['digits', 'my model', 'модель', 'a.b-c_d', '__proto__'])('take %j', (written) => {
    expect(read(modelName(), written)).toBe(written);
    expect(read(text(), written)).toBe(written);
  });

  it.each(['', 'a/b', 'a\u0000b', 'a\nb'])('a model name is not %j', (written) => {
    expect(read(modelName(), written)).toMatch(/^refused: expected a name/);
  });
});
