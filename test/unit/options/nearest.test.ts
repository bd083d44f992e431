import { describe, expect, it } from 'vitest';
import { didYouMean, nearest } from '../../../src/options/index.ts';

const NAMES = ['http_port', 'grpc_port', 'model_name', 'model_dir', 'max_queue_size', 'isolation', 'log_level'];

describe('nearest', () => {
  it.each([
    ['htp_port', 'http_port'],
    ['http_prot', 'http_port'],
    ['modle_name', 'model_name'],
    ['modeldir', 'model_dir'],
    ['isolaton', 'isolation'],
    ['max_queue', 'max_queue_size'],
    ['loglevel', 'log_level'],
  ])('finds for %s the name %s', (written, meant) => {
    expect(nearest(written, NAMES)).toBe(meant);
  });

  it.each(['', 'x', 'zzzzzz', 'hugging_face_token', '__proto__'])('finds nothing for %j', (written) => {
    expect(nearest(written, NAMES)).toBeUndefined();
  });

  it('counts a swap of neighbours as one mistake', () => {
    expect(nearest('ba', ['ab'])).toBe('ab');
  });

  it('takes the closest of several', () => {
    expect(nearest('grpc_prt', ['http_port', 'grpc_port'])).toBe('grpc_port');
  });
});

describe('didYouMean', () => {
  it('asks with the name as people write it, or says nothing', () => {
    expect(didYouMean('htp_port', NAMES, (name) => `--${name}`)).toBe(', did you mean --http_port?');
    expect(didYouMean('zzzzzz', NAMES)).toBe('');
  });
});
