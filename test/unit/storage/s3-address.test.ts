import { expect, it } from 'vitest';
import { bucketUrl } from '../../../src/storage/s3-address.ts';

const AWS = { endpoint: undefined, usesVirtualHosts: true, isAccelerated: false };

it.each([
  ['foo', 'eu-west-1', AWS, 'https://foo.s3.eu-west-1.amazonaws.com'],
  ['foo', 'cn-north-1', AWS, 'https://foo.s3.cn-north-1.amazonaws.com.cn'],
  ['foo', 'us-isob-east-1', AWS, 'https://foo.s3.us-isob-east-1.sc2s.sgov.gov'],
  ['a.dotted.name', 'us-east-1', AWS, 'https://s3.us-east-1.amazonaws.com/a.dotted.name'],
  ['foo', 'us-east-1', { ...AWS, isAccelerated: true }, 'https://foo.s3-accelerate.amazonaws.com'],
  ['foo', 'x', { ...AWS, endpoint: 'http://minio:9000', usesVirtualHosts: false }, 'http://minio:9000/foo'],
  ['foo', 'x', { ...AWS, endpoint: 'http://minio:9000' }, 'http://foo.minio:9000'],
  ['foo', 'x', { ...AWS, endpoint: 'http://127.0.0.1:9000' }, 'http://127.0.0.1:9000/foo'],
  ['Foo_Bar', 'x', { ...AWS, endpoint: 'http://minio' }, 'http://minio/Foo_Bar'],
])('bucket %s in %s is at the URL that its addressing says', (bucket, region, addressing, url) => {
  expect(bucketUrl(bucket, region, addressing)).toBe(url);
});
