import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readS3Settings } from '../../../src/storage/s3-settings.ts';

const URI = 's3://bucket/model';

describe('readS3Settings', () => {
  it.each([
    ['True', true],
    ['true', true],
    ['False', false],
    ['false', false],
    ['', false],
  ])('reads awsAnonymousCredential=%j as %j', async (value, expected) => {
    expect((await readS3Settings({ awsAnonymousCredential: value }, URI)).isAnonymous).toBe(expected);
  });

  it.each([
    [{}, true],
    [{ AWS_ENDPOINT_URL: 'http://minio:9000' }, false],
    [{ AWS_ENDPOINT_URL: 'http://minio:9000', S3_USER_VIRTUAL_BUCKET: 'true' }, true],
    [{ AWS_ENDPOINT_URL: 'https://s3.amazonaws.com', AWS_DEFAULT_REGION: 'eu-west-1' }, true],
    [{ AWS_ENDPOINT_URL: 'https://s3.amazonaws.com', AWS_DEFAULT_REGION: 'us-east-1' }, false],
    [{ AWS_ENDPOINT_URL: 'https://s3.amazonaws.com' }, false],
  ])('addresses buckets of %j by host: %j', async (env, expected) => {
    expect((await readS3Settings(env, URI)).usesVirtualHosts).toBe(expected);
  });

  it.each([
    ['minio:9000', undefined, 'https://minio:9000'],
    ['minio:9000', '0', 'http://minio:9000'],
    ['http://minio:9000/', undefined, 'http://minio:9000'],
    ['  ', undefined, undefined],
  ])('reads the endpoint %j', async (AWS_ENDPOINT_URL, S3_USE_HTTPS, expected) => {
    expect((await readS3Settings({ AWS_ENDPOINT_URL, S3_USE_HTTPS }, URI)).endpoint).toBe(expected);
  });

  it('reads times in seconds and the count of attempts', async () => {
    const settings = await readS3Settings({ S3_CONNECT_TIMEOUT: '5', S3_READ_TIMEOUT: '10', S3_MAX_ATTEMPTS: '5' }, URI);
    expect(settings).toMatchObject({ connectTimeoutMs: 5000, readTimeoutMs: 10_000, maxAttempts: 5 });
    await expect(readS3Settings({ S3_READ_TIMEOUT: 'soon' }, URI)).rejects.toThrow('S3_READ_TIMEOUT: expected a number above 0, got "soon"');
  });

  it('puts STORAGE_CONFIG over variables and STORAGE_OVERRIDE_CONFIG over both, and drops a token of another key', async () => {
    const config = { type: 's3', access_key_id: 'id', secret_access_key: 'secret', region: 'eu-north-1', verify_ssl: '0', endpoint_url: 'http://a' };
    const settings = await readS3Settings(
      {
        AWS_ACCESS_KEY_ID: 'other',
        AWS_SESSION_TOKEN: 'token of other',
        STORAGE_CONFIG: JSON.stringify(config),
        STORAGE_OVERRIDE_CONFIG: JSON.stringify({ endpoint_url: 'http://b' }),
      },
      URI,
    );
    expect(settings).toMatchObject({
      endpoint: 'http://b',
      region: 'eu-north-1',
      verifiesTls: false,
      credentials: { accessKeyId: 'id', secretAccessKey: 'secret' },
    });
    expect(settings.credentials).not.toHaveProperty('sessionToken');
  });

  it('never shows what stands in a STORAGE_CONFIG that is no JSON', async () => {
    const failure = readS3Settings({ STORAGE_CONFIG: 'hunter2' }, URI);
    await expect(failure).rejects.toThrow('expected a JSON object in STORAGE_CONFIG');
    await expect(failure).rejects.not.toThrow('hunter2');
  });

  it('takes AWS_CA_BUNDLE before the global bundle, which is the fallback, and neither without verification', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'kserve-node-ca-'));
    writeFileSync(join(dir, 'own.crt'), 'own');
    writeFileSync(join(dir, 'cabundle.crt'), 'global');
    const global = { CA_BUNDLE_CONFIGMAP_NAME: 'bundle', CA_BUNDLE_VOLUME_MOUNT_POINT: dir };
    expect((await readS3Settings({ AWS_CA_BUNDLE: join(dir, 'own.crt'), ...global }, URI)).ca).toBe('own');
    expect((await readS3Settings({ AWS_CA_BUNDLE: '', ...global }, URI)).ca).toBe('global');
    await expect(readS3Settings({ AWS_CA_BUNDLE: '/none.crt' }, URI)).rejects.toThrow('Failed to find ca bundle file(/none.crt)');
    expect((await readS3Settings({ AWS_CA_BUNDLE: '/none.crt', S3_VERIFY_SSL: 'False' }, URI)).ca).toBeUndefined();
    rmSync(dir, { recursive: true });
  });
});
