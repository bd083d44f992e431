import { createSign, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isServingError } from '../../../src/core/errors.ts';
import { verifySignature } from '../../../src/storage/integrity-signature.ts';

let dir: string;
let file: string;
let signatureFile: string;
const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const pem = publicPem(publicKey);

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'signature-'));
  file = join(dir, 'model.tar');
  signatureFile = `${file}.sig`;
  await writeFile(file, 'content');
});
afterEach(() => rm(dir, { recursive: true, force: true }));

function publicPem(key: KeyObject): string {
  return key.export({ type: 'spki', format: 'pem' }).toString();
}

const sign = (content: string, key = privateKey): string => createSign('sha256').update(content).sign(key, 'base64');

async function refusal(key = pem): Promise<string> {
  const thrown: unknown = await verifySignature(file, signatureFile, key).catch((error: unknown) => error);
  if (!isServingError(thrown)) throw new Error('expected a ServingError', { cause: thrown });
  expect(thrown.message).not.toContain('\n');
  return thrown.message;
}

describe('verifySignature', () => {
  it('takes the right signature, on one line or broken over several', async () => {
    await writeFile(signatureFile, sign('content'));
    await verifySignature(file, signatureFile, pem);
    await writeFile(signatureFile, `${sign('content').replace(/(.{40})/g, '$1\n')}\n`);
    await verifySignature(file, signatureFile, pem);
  });

  /** Made with openssl 3: `openssl dgst -sha256 -sign key.pem model.tar | base64`, which is what cosign sign-blob prints. */
  it('takes a signature made by another program', async () => {
    await writeFile(signatureFile, FOREIGN.signature);
    await verifySignature(file, signatureFile, FOREIGN.key);
  });

  it.each([
    ['other content', () => sign('Content'), pem],
    ['another key', () => sign('content'), publicPem(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey)],
    ['random bytes', () => Buffer.from('no DER').toString('base64'), pem],
  ])('refuses a signature over %s', async (_what, signature, key) => {
    await writeFile(signatureFile, signature());
    expect(await refusal(key)).toBe(
      'Cannot trust "model.tar": signature "model.tar.sig" was not made for this content with the given key; sign the file again or give its signer\'s key',
    );
  });

  it.each([
    ['a bundle', '{"base64Signature":"…"}'],
    ['nothing', ' \n'],
    ['raw bytes', '\u0000\u0001'],
    ['cut base64', 'abc'],
  ])('refuses %s for a signature', async (_what, text) => {
    await writeFile(signatureFile, text);
    expect(await refusal()).toBe(
      'Cannot trust "model.tar": signature "model.tar.sig" is not base64 as cosign sign-blob --output-signature writes it',
    );
  });

  it('names a signature that is missing or far too long', async () => {
    expect(await refusal()).toBe('Cannot trust "model.tar": signature "model.tar.sig" cannot be read; put it beside the file');
    await writeFile(signatureFile, 'A'.repeat(70_000));
    expect(await refusal()).toBe('Cannot trust "model.tar": signature "model.tar.sig" is no file of at most 65536 bytes');
  });

  it.each([
    [
      'a private key',
      privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      'the key is no PEM public key ("-----BEGIN PUBLIC KEY-----"); cosign public-key prints it',
    ],
    ['no key', '', 'the key is no PEM public key ("-----BEGIN PUBLIC KEY-----"); cosign public-key prints it'],
    ['a broken key', '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----', 'the public key cannot be read; cosign public-key prints it'],
    [
      'another curve',
      publicPem(generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey),
      'the public key is secp384r1, expected ECDSA P-256; cosign generate-key-pair makes one',
    ],
    [
      'an Ed25519 key',
      publicPem(generateKeyPairSync('ed25519').publicKey),
      'the public key is ed25519, expected ECDSA P-256; cosign generate-key-pair makes one',
    ],
  ])('refuses %s', async (_what, key, problem) => {
    await writeFile(signatureFile, sign('content'));
    expect(await refusal(key)).toBe(`Cannot trust "model.tar": ${problem}`);
  });

  it('rejects with the reason of an aborted signal', async () => {
    await writeFile(signatureFile, sign('content'));
    await expect(verifySignature(file, signatureFile, pem, AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough');
  });
});

const FOREIGN = {
  key: `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEnceRLF1ZC7+0/uLzHzNK+WjtiWPS
2NkFQi0vgZh2CUrVHkb9aGgpq7HLYmkZg6NnX+yqcZtyjofxp5rrs5ANcQ==
-----END PUBLIC KEY-----
`,
  signature: 'MEQCIGd2ulTlKKmlJ/LNNMOO6/LqlidL9GDLoDqfPClFzbybAiAN8F3mFFz8IgJnK+MPKNRtJxeoSaGEkpbzNQSQo+Z90Q==',
};
