import { boolean, bytes, defineSection, localPath, text, type OptionsOf } from '../options/index.ts';

export const storageSection = defineSection({
  title: 'Storage',
  options: {
    modelCache: {
      name: 'model_cache',
      schema: localPath('DIR'),
      doc: 'directory that keeps models of a --model_dir that is a URI, and optimised graphs of all that load slowly; shared by all processes and pods that mount it',
    },
    modelCacheBytes: {
      name: 'model_cache_bytes',
      schema: bytes(0, Number.MAX_SAFE_INTEGER),
      default: 0,
      doc: 'most bytes of --model_cache: what was not used for longest goes, nothing in use; 0 leaves it to the room of the volume',
    },
    expectSha256: {
      name: 'expect_sha256',
      schema: text('HEX'),
      doc: 'digest of the one file, or of SHA256SUMS where there are several; --model_dir=URI?sha256=HEX is the same',
    },
    publicKey: {
      name: 'public_key',
      schema: localPath('FILE'),
      doc: 'PEM public key: the one file of a --model_dir that is a URI, or its SHA256SUMS, must be signed (cosign sign-blob)',
    },
    signature: { name: 'signature', schema: localPath('FILE'), doc: 'the signature; SHA256SUMS.sig of the download without it' },
    fsync: {
      name: 'fsync',
      schema: boolean(),
      default: true,
      doc: 'whether a download waits for the disk; without it a crash of the machine may undo it',
    },
  },
});

export type StorageSettings = OptionsOf<typeof storageSection>;
