import { AZURE, BUCKET, GCS, HUB, S3, WEB } from '../../support/storage-dialects.ts';
import { StorageServer } from '../../support/storage-server.ts';
import { describeStorageScheme } from './describe-storage-scheme.ts';

const same = (path: string): string => path;

describeStorageScheme({
  name: 's3',
  server: new StorageServer(S3),
  uri: (path) => `s3://${BUCKET}/${path}`,
  key: same,
  env: (endpoint) => ({ AWS_ENDPOINT_URL: endpoint, AWS_ACCESS_KEY_ID: 'id', AWS_SECRET_ACCESS_KEY: 'secret', AWS_DEFAULT_REGION: 'us-east-1' }),
  unsupported: [],
});

describeStorageScheme({
  name: 'gs',
  server: new StorageServer(GCS),
  uri: (path) => `gs://${BUCKET}/${path}`,
  key: same,
  env: (endpoint) => ({ STORAGE_EMULATOR_HOST: endpoint }),
  unsupported: [],
});

describeStorageScheme({
  name: 'azure',
  server: new StorageServer(AZURE),
  uri: (path) => `azure://account/${BUCKET}/${path}`,
  key: same,
  env: (endpoint) => ({ AZURE_STORAGE_BLOB_ENDPOINT: endpoint }),
  unsupported: [],
});

describeStorageScheme({
  name: 'hf',
  server: new StorageServer(HUB),
  // A repository has no part of its own; the names below it are the model's.
  uri: (path) => `hf://${path.split('/').slice(0, 2).join('/')}`,
  key: same,
  env: (endpoint) => ({ HF_ENDPOINT: endpoint }),
  unsupported: [],
});

describeStorageScheme({
  name: 'https',
  server: new StorageServer(WEB),
  uri: (path) => `http://endpoint/${path}`,
  key: same,
  env: () => ({}),
  unsupported: [
    { what: 'folders', reason: 'a web server has no listing' },
    { what: 'checksums of files in ranges', reason: 'answers with ranges carry none of the whole file' },
  ],
});
