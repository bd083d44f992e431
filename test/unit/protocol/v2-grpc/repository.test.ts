import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ServingError } from '../../../../src/core/errors.ts';
import { failure, Rig } from './harness.ts';

const SERVICE = '/inference.GRPCInferenceService/';
const hex = (text: string): Buffer => Buffer.from(text, 'hex');
const same = (bytes: Buffer): Buffer => bytes;

describe('repository rpcs', () => {
  let rig: Rig;
  beforeEach(async () => {
    rig = await Rig.start();
  });
  afterEach(() => rig.close());
  const send = (name: string, bytes: Buffer): Promise<Buffer> => rig.beginBytes(SERVICE + name, bytes, same).reply;

  it('RepositoryIndex answers in Triton bytes', async () => {
    // RepositoryIndexRequest{ready: true} -> models{name "m", version "1", state "READY"}
    expect((await send('RepositoryIndex', hex('1001'))).toString('hex')).toBe('0a0d' + '0a016d' + '120131' + '1a055245414459');
    expect((await rig.call('RepositoryIndex'))['models']).toEqual([
      { name: 'm', version: '1', state: 'READY', reason: '' },
      { name: 'loading', version: '2', state: 'LOADING', reason: 'being loaded' },
    ]);
  });

  it.each([
    { client: 'KServe', load: '0a016d', unload: '0a016d' },
    // Field 2; unload with parameters{unload_dependents: false}, which Triton's clients always send.
    { client: 'Triton', load: '12016d', unload: '12016d' + '1a17' + '0a11756e6c6f61645f646570656e64656e7473' + '12020800' },
  ])('RepositoryModelLoad and Unload take the bytes of a $client client and answer in those of KServe', async ({ load, unload }) => {
    expect((await send('RepositoryModelLoad', hex(load))).toString('hex')).toBe('0a016d' + '1001');
    expect((await send('RepositoryModelUnload', hex(unload))).toString('hex')).toBe('0a016d' + '1001');
    expect([rig.dataplane.loads, rig.dataplane.unloads]).toEqual([['m'], ['m']]);
  });

  it('a named repository is UNIMPLEMENTED', async () => {
    const loading = await failure(rig.call('RepositoryModelLoad', { repository_name: 'r', model_name: 'm' }));
    expect([loading.codeName, loading.details]).toEqual([
      'UNIMPLEMENTED',
      'Cannot load model "m": repositories have no names here, expected none, got "r"',
    ]);
    expect((await failure(rig.call('RepositoryIndex', { repository_name: 'r' }))).codeName).toBe('UNIMPLEMENTED');
    expect(rig.dataplane.loads).toEqual([]);
  });

  it('load parameters are UNIMPLEMENTED rather than ignored', async () => {
    const error = await failure(rig.call('RepositoryModelLoad', { model_name: 'm', parameters: { config: { string_param: '{}' } } }));
    expect([error.codeName, error.details]).toEqual(['UNIMPLEMENTED', 'Cannot load model "m": load parameters are not supported, got "config"']);
  });

  it('no name at all is INVALID_ARGUMENT', async () => {
    expect((await failure(rig.call('RepositoryModelUnload'))).details).toBe('Cannot unload model: expected a model name, got none');
  });

  it('a load that fails says why', async () => {
    rig.dataplane.load = () => Promise.reject(new ServingError('model_not_ready', 'Model with name m is not ready. model.onnx is truncated'));
    const error = await failure(rig.call('RepositoryModelLoad', { model_name: 'm' }));
    expect([error.codeName, error.details]).toEqual(['UNAVAILABLE', 'Model with name m is not ready. model.onnx is truncated']);
  });
});
