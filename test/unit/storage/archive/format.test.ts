import { describe, expect, it } from 'vitest';
import { archiveFormat } from '../../../../src/storage/archive/index.ts';

describe('archiveFormat', () => {
  it.each([
    ['m.zip', 'zip'],
    ['/a/b/M.ZIP', 'zip'],
    ['m.tar', 'tar'],
    ['m.tar.gz', 'tar.gz'],
    ['m.TGZ', 'tar.gz'],
    ['m.gz', undefined],
    ['m.onnx', undefined],
    ['tar', undefined],
    ['m.zip/model.onnx', undefined],
  ])('of %s is %s', (path, format) => {
    expect(archiveFormat(path)).toBe(format);
  });
});
