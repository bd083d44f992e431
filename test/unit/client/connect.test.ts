import { describe, expect, it } from 'vitest';
import { connect, InferenceError, type ConnectOptions } from '../../../src/client/index.ts';

describe('connect', () => {
  it.each([
    ['localhost:8080', 'expected http://, https://, grpc:// or grpcs://'],
    ['ftp://host', 'expected http://'],
    ['http://', 'with a host'],
    ['http://user:secret@host', 'credentials go into the headers option'],
    ['http://host/?a=b', 'no user, query or fragment'],
    ['grpc://host:8081/base', 'gRPC knows no base path'],
  ])('refuses the address %s', (url, message) => {
    expect(() => connect(url)).toThrow(message);
  });

  it('never repeats a password in its message', () => {
    expect(() => connect('http://user:secret@host')).toThrow(
      expect.not.objectContaining({ message: expect.stringContaining('secret') as string }) as Error,
    );
  });

  it.each<[ConnectOptions, string]>([
    [{ retries: -1 }, 'Cannot use retries -1: expected an integer of at least 0'],
    [{ retries: 1.5 }, 'retries 1.5'],
    [{ timeoutMs: 0 }, 'timeoutMs 0'],
    [{ maxResponseBytes: 0 }, 'maxResponseBytes 0'],
    [{ maxConnections: NaN }, 'maxConnections NaN'],
  ])('refuses the options %o', (options, message) => {
    expect(() => connect('http://host', options)).toThrow(InferenceError);
    expect(() => connect('http://host', options)).toThrow(message);
  });

  it('refuses to call a model without a name', async () => {
    const client = connect('http://127.0.0.1:1');
    await expect(client.infer('', { inputs: [] })).rejects.toMatchObject({ reason: 'invalid_request' });
    client.close();
  });
});
