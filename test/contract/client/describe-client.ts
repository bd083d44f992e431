import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { connect, InferenceError, tensor, type ConnectOptions, type InferenceClient, type Tensor } from '../../../src/client/index.ts';
import type { FakeServer } from './fake-server.ts';

export interface ClientSubject {
  readonly name: string;
  readonly start: (port?: number) => Promise<FakeServer>;
  readonly binary: boolean;
}

const EVERY_DATATYPE: readonly Tensor[] = [
  tensor('bool', 'BOOL', [2], [true, false]),
  tensor('uint8', 'UINT8', [2], [0, 255]),
  tensor('uint16', 'UINT16', [2], [0, 65535]),
  tensor('uint32', 'UINT32', [2], [0, 2 ** 32 - 1]),
  tensor('uint64', 'UINT64', [2], [0n, 2n ** 64n - 1n]),
  tensor('int8', 'INT8', [2], [-128, 127]),
  tensor('int16', 'INT16', [2], [-32768, 32767]),
  tensor('int32', 'INT32', [2], [-(2 ** 31), 2 ** 31 - 1]),
  tensor('int64', 'INT64', [2], [-(2n ** 63n), 2n ** 63n - 1n]),
  tensor('fp32', 'FP32', [2, 2], [0.1, -0, 3.4e38, 1e-45]),
  tensor('fp64', 'FP64', [2], [0.1, Number.MAX_VALUE]),
  tensor('bytes', 'BYTES', [3], ['ä', '', 'a\0b']),
  tensor('scalar', 'FP32', [], [1]),
  tensor('none', 'FP32', [0, 64], []),
];

const ONE = { inputs: [tensor('x', 'FP32', [1], [1])] };
const BUSY = { kind: 'fail', reason: 'model_not_ready', message: 'busy' } as const;

/** What a caller may rely on, whichever transport the address chooses. */
export function describeClient(subject: ClientSubject): void {
  describe(subject.name, () => {
    let server: FakeServer;
    let client: InferenceClient;
    const isGrpc = subject.name.includes('grpc');

    function open(options: ConnectOptions = {}): InferenceClient {
      client.close();
      client = connect(server.url, { binary: subject.binary, ...options });
      return client;
    }

    beforeAll(async () => {
      server = await subject.start();
      client = connect(server.url, { binary: subject.binary });
    });
    afterEach(() => {
      Object.assign(server.state, { live: true, ready: true });
      server.state.acts.length = 0;
      server.state.calls.length = 0;
      server.state.repositoryCalls.length = 0;
      open();
    });
    afterAll(async () => {
      client.close();
      await server.close();
    });

    describe('infer', () => {
      it('carries every datatype, bit for bit', async () => {
        const response = await client.infer('echo', { inputs: EVERY_DATATYPE });
        expect(response.outputs.map(({ name, datatype, shape }) => ({ name, datatype, shape }))).toEqual(
          EVERY_DATATYPE.map(({ name, datatype, shape }) => ({ name, datatype, shape })),
        );
        for (const { name, datatype, data } of EVERY_DATATYPE) {
          if (datatype === 'BYTES') continue;
          expect(response.output(name, datatype), name).toEqual(data);
        }
        expect(response.strings('bytes')).toEqual(['ä', '', 'a\0b']);
      });

      it('carries FP16 and BF16', async () => {
        const inputs = [tensor('half', 'FP16', [2], [0.5, -65504]), tensor('brain', 'BF16', [2], [1, -2])];
        const response = await client.infer('echo', { inputs });
        expect(response.numbers('half')).toEqual([0.5, -65504]);
        expect(response.numbers('brain')).toEqual([1, -2]);
      });

      it('sends tensors in the form that was asked for', async () => {
        await client.infer('echo', ONE);
        expect(server.state.calls[0]!.isBinary).toBe(subject.binary);
      });

      it('carries id, version, parameters, wanted outputs and headers', async () => {
        open({ headers: { 'X-Tenant': 'a', 'X-Kept': 'b' } });
        const inputs = [tensor('x', 'FP32', [1], [1]), tensor('y', 'FP32', [1], [2])];
        const parameters = { text: 'ä', flag: true, whole: 7, real: 1.5 };
        const response = await client.infer(
          'echo',
          { inputs, id: 'a-1', version: '2', outputs: ['y'], parameters },
          { headers: { 'x-tenant': 'c' } },
        );
        expect(response.outputs.map((output) => output.name)).toEqual(['y']);
        expect(response).toMatchObject({ modelName: 'echo', modelVersion: '2', id: 'a-1', parameters });
        expect(server.state.calls[0]!.headers).toMatchObject({ 'x-tenant': 'c', 'x-kept': 'b' });
      });

      it('asks for another host than the address when it is told to', async () => {
        open({ authority: 'digits.example.com' });
        await client.infer('echo', ONE);
        expect(server.state.calls[0]!.headers['host']).toBe('digits.example.com');
      });

      it('answers many calls at once, each with its own answer', async () => {
        const answers = await Promise.all(
          Array.from({ length: 100 }, (_, index) => client.infer('echo', { inputs: [tensor('x', 'INT32', [1], [index])] })),
        );
        expect(answers.map((answer) => answer.output('x', 'INT32')[0])).toEqual(Array.from({ length: 100 }, (_, index) => index));
      });

      it('carries large tensors', async () => {
        const data = Float32Array.from({ length: 1 << 19 }, (_, index) => index);
        const response = await client.infer('echo', { inputs: [tensor('x', 'FP32', [data.length], data)] });
        expect(Buffer.compare(Buffer.from(response.output('x', 'FP32').buffer), Buffer.from(data.buffer))).toBe(0);
      });
    });

    describe('errors', () => {
      it.each([
        ['invalid_request', 'invalid_request'],
        ['permission_denied', 'permission_denied'],
        ['payload_too_large', 'payload_too_large'],
        ['conflict', 'conflict'],
        ['internal', 'internal'],
        ['unimplemented', 'unimplemented'],
        ['deadline_exceeded', 'deadline_exceeded'],
      ] as const)('tells %s once, with the words of the server', async (reason, seen) => {
        server.state.acts.push({ kind: 'fail', reason, message: `told: ${reason}` });
        const error = await failureOf(client.infer('echo', ONE));
        expect(error).toBeInstanceOf(InferenceError);
        expect(error).toMatchObject({ reason: seen, message: `told: ${reason}`, retryable: false });
        expect(isGrpc ? error.grpcCode : error.status).toBeDefined();
        expect(server.state.calls).toHaveLength(1);
      });

      it('tells of an unknown model', async () => {
        const error = await failureOf(client.infer('nobody', ONE));
        expect(error).toMatchObject({ reason: 'model_not_found', message: 'Model with name nobody does not exist.' });
      });

      it('refuses an answer that is no response', async () => {
        server.state.acts.push({ kind: 'nonsense' });
        expect(await failureOf(client.infer('echo', ONE))).toMatchObject({ reason: 'invalid_response', retryable: false });
      });

      it('refuses an answer larger than maxResponseBytes, and goes on', async () => {
        open({ maxResponseBytes: 2000 });
        const large = tensor('x', 'FP64', [1000], new Float64Array(1000).fill(0.1));
        expect(await failureOf(client.infer('echo', { inputs: [large] }))).toMatchObject({ reason: 'payload_too_large' });
        await expect(client.infer('echo', ONE)).resolves.toBeDefined();
      });

      it('refuses headers that cannot be sent', async () => {
        expect(await failureOf(client.infer('echo', ONE, { headers: { 'x-a': 'a\nb' } }))).toMatchObject({ reason: 'invalid_request' });
      });
    });

    describe('retries', () => {
      it('tries again while the model is not ready', async () => {
        server.state.acts.push(BUSY, BUSY);
        await expect(client.infer('echo', ONE)).resolves.toBeDefined();
        expect(server.state.calls).toHaveLength(3);
      });

      it('gives up after the retries that it has', async () => {
        open({ retries: 1 });
        server.state.acts.push(BUSY, BUSY, BUSY);
        expect(await failureOf(client.infer('echo', ONE))).toMatchObject({ reason: 'unavailable', message: 'busy', retryable: true });
        expect(server.state.calls).toHaveLength(2);
      });

      it('waits as long as an overloaded server asks', async () => {
        server.state.acts.push({ kind: 'fail', reason: 'overloaded', message: 'full', retryAfterMs: 1000 });
        await expect(client.infer('echo', ONE)).resolves.toBeDefined();
        const [first, second] = server.state.calls;
        expect(second!.at - first!.at).toBeGreaterThanOrEqual(995);
      });

      it('tells overload from size', async () => {
        open({ retries: 0 });
        server.state.acts.push({ kind: 'fail', reason: 'overloaded', message: 'full', retryAfterMs: 1000 });
        expect(await failureOf(client.infer('echo', ONE))).toMatchObject({ reason: 'overloaded', retryable: true, retryAfterMs: 1000 });
      });

      it('tries again on another connection when one breaks', async () => {
        await client.infer('echo', ONE);
        server.state.acts.push({ kind: 'drop' });
        await expect(client.infer('echo', ONE)).resolves.toBeDefined();
        expect(server.state.calls).toHaveLength(3);
      });

      it('reaches a server that comes up meanwhile', async () => {
        const later = await subject.start();
        await later.close();
        const call = connect(later.url, { binary: subject.binary, retries: 20 });
        const answer = call.infer('echo', ONE);
        const up = await subject.start(Number(new URL(later.url).port));
        await expect(answer).resolves.toBeDefined();
        call.close();
        await up.close();
      });

      it('tells of a server that nobody runs', async () => {
        const gone = await subject.start();
        await gone.close();
        const lonely = connect(gone.url, { retries: 1 });
        const error = await failureOf(lonely.infer('echo', ONE));
        expect(error).toMatchObject({ reason: 'unavailable', retryable: true });
        expect(error.message).toContain('ECONNREFUSED');
        expect(await lonely.isLive()).toBe(false);
        expect(await lonely.isReady()).toBe(false);
        expect(await lonely.isModelReady('echo')).toBe(false);
        lonely.close();
      });
    });

    describe('time and cancellation', () => {
      it('stops waiting at the timeout and leaves', async () => {
        server.state.acts.push({ kind: 'hang' });
        const left = server.state.whenClientLeft();
        expect(await failureOf(client.infer('echo', ONE, { timeoutMs: 100 }))).toMatchObject({ reason: 'deadline_exceeded' });
        await left;
      });

      it('stops at once when the caller aborts, and leaves', async () => {
        server.state.acts.push({ kind: 'hang' });
        const caller = new AbortController();
        const [hanging, left] = [server.state.whenHanging(), server.state.whenClientLeft()];
        const failure = failureOf(client.infer('echo', ONE, { signal: caller.signal }));
        await hanging;
        caller.abort();
        expect(await failure).toMatchObject({ reason: 'cancelled' });
        await left;
        await expect(client.infer('echo', ONE)).resolves.toBeDefined();
      });

      it('ends what runs when it is closed', async () => {
        server.state.acts.push({ kind: 'hang' });
        const [hanging, left] = [server.state.whenHanging(), server.state.whenClientLeft()];
        const failure = failureOf(client.infer('echo', ONE));
        await hanging;
        client.close();
        expect(await failure).toMatchObject({ reason: 'cancelled' });
        await left;
        expect(await failureOf(client.isLive())).toMatchObject({ reason: 'cancelled' });
      });
    });

    describe('health, metadata and repository', () => {
      it('tells whether the server is live and ready', async () => {
        expect([await client.isLive(), await client.isReady(), await client.isModelReady('echo')]).toEqual([true, true, true]);
        Object.assign(server.state, { live: false, ready: false });
        expect([await client.isLive(), await client.isReady(), await client.isModelReady('echo', '2')]).toEqual([false, false, false]);
      });

      it('tells of an unknown model instead of calling it not ready', async () => {
        expect(await failureOf(client.isModelReady('nobody'))).toMatchObject({ reason: 'model_not_found' });
      });

      it('reads server and model metadata', async () => {
        expect(await client.serverMetadata()).toEqual(server.state.serverMetadata);
        expect(await client.modelMetadata('echo')).toEqual(server.state.modelMetadata);
        expect(await client.modelMetadata('echo', '2')).toEqual(server.state.modelMetadata);
        expect(await failureOf(client.modelMetadata('nobody'))).toMatchObject({ reason: 'model_not_found' });
      });

      it('lists, loads and unloads models, whatever their names', async () => {
        await client.loadModel('ä /b?');
        expect(await client.models()).toContain('ä /b?');
        expect(await client.index({ readyOnly: true })).toEqual([
          { name: 'echo', version: '1', state: 'READY', reason: '' },
          { name: 'ä /b?', version: '1', state: 'READY', reason: '' },
        ]);
        expect(await client.index()).toContainEqual({ name: 'broken', version: '1', state: 'UNAVAILABLE', reason: 'no such file' });
        await client.unloadModel('ä /b?');
        expect(server.state.repositoryCalls).toEqual(['load ä /b?', 'unload ä /b?']);
      });

      it('tells why a model does not load or unload', async () => {
        open({ retries: 0 });
        expect(await failureOf(client.loadModel('broken'))).toMatchObject({ reason: 'unavailable', message: 'Model with name broken is not ready.' });
        expect(await failureOf(client.unloadModel('nobody'))).toMatchObject({ reason: 'model_not_found' });
      });
    });
  });
}

async function failureOf(call: Promise<unknown>): Promise<InferenceError> {
  return call.then(
    () => {
      throw new Error('expected a failure');
    },
    (thrown: unknown) => thrown as InferenceError,
  );
}
