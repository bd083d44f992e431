import { createPublicKey, createVerify, type KeyObject } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { ServingError } from '../core/errors.ts';
import { quoteName } from './archive/refusal.ts';
import { readChunks } from './integrity.ts';

const MAX_SIGNATURE_BYTES = 64 * 1024;

/**
 * Checks a detached signature as `cosign sign-blob --key` makes it: base64 of a DER-encoded ECDSA P-256 signature over the SHA-256 of the
 * file. Resolves when it is right; rejects with one line that names both files otherwise.
 */
export async function verifySignature(
  file: string,
  signatureFile: string,
  publicKeyPem: string,
  signal: AbortSignal = new AbortController().signal,
): Promise<void> {
  const refuse = (problem: string, cause?: unknown): ServingError =>
    new ServingError('invalid_request', `Cannot trust ${quoteName(basename(file))}: ${problem}`, { cause });
  const key = readPublicKey(publicKeyPem, refuse);
  const signature = await readSignature(signatureFile, refuse);
  const verify = createVerify('sha256');
  for await (const chunk of readChunks(file, signal)) verify.update(chunk);
  if (verify.verify({ key, dsaEncoding: 'der' }, signature)) return;
  throw refuse(
    `signature ${quoteName(basename(signatureFile))} was not made for this content with the given key; sign the file again or give its signer's key`,
  );
}

type RefuseTrust = (problem: string, cause?: unknown) => ServingError;

function readPublicKey(pem: string, refuse: RefuseTrust): KeyObject {
  // Node would quietly derive a public key from a private one or a certificate: neither belongs here.
  if (!pem.includes('-----BEGIN PUBLIC KEY-----') || pem.includes('PRIVATE KEY-----')) {
    throw refuse('the key is no PEM public key ("-----BEGIN PUBLIC KEY-----"); cosign public-key prints it');
  }
  let key: KeyObject;
  try {
    key = createPublicKey(pem);
  } catch (cause) {
    throw refuse('the public key cannot be read; cosign public-key prints it', cause);
  }
  const curve = key.asymmetricKeyDetails?.namedCurve;
  if (key.asymmetricKeyType !== 'ec' || curve !== 'prime256v1') {
    throw refuse(`the public key is ${curve ?? key.asymmetricKeyType ?? 'unknown'}, expected ECDSA P-256; cosign generate-key-pair makes one`);
  }
  return key;
}

async function readSignature(signatureFile: string, refuse: RefuseTrust): Promise<Buffer> {
  const name = quoteName(basename(signatureFile));
  const found = await stat(signatureFile).catch((cause: unknown) => {
    throw refuse(`signature ${name} cannot be read; put it beside the file`, cause);
  });
  if (!found.isFile() || found.size > MAX_SIGNATURE_BYTES) throw refuse(`signature ${name} is no file of at most ${MAX_SIGNATURE_BYTES} bytes`);
  const text = (await readFile(signatureFile, 'latin1')).replace(/\s+/g, '');
  if (text === '' || text.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(text)) {
    throw refuse(`signature ${name} is not base64 as cosign sign-blob --output-signature writes it`);
  }
  return Buffer.from(text, 'base64');
}
