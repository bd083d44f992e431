import { expect, test } from 'vitest';
import { filterEnvironment } from '../../../src/executor/environment.ts';

test('filterEnvironment keeps what finds and runs libraries and drops all else, secrets first of all', () => {
  const kept = { PATH: '/bin', HOME: '/root', LC_ALL: 'C', CUDA_VISIBLE_DEVICES: '0', OMP_NUM_THREADS: '2', UV_THREADPOOL_SIZE: '8', TZ: '' };
  const dropped = { AWS_SECRET_ACCESS_KEY: 'x', KSERVE_NODE_HTTP_PORT: '1', HF_TOKEN: 'x', path: '/x', NODE_EXTRA_CA_CERTS: 'x', XPATH: 'x' };
  expect(filterEnvironment({ ...kept, ...dropped, LANG: undefined })).toEqual(kept);
});
