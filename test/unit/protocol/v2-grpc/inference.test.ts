import type { StopSignal } from '../../../../src/core/stop-signal.ts';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import * as grpc from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ERROR_TABLE, ServingError, toServingError, type ErrorReason } from '../../../../src/core/errors.ts';
import type { GrpcObserver } from '../../../../src/protocol/v2-grpc/index.ts';
import { echo, failure, fp32Request, recordingLogger, Rig, type LogRecord } from './harness.ts';

const PATH = '/inference.GRPCInferenceService/ModelInfer';
const same = (bytes: Buffer): Buffer => bytes;

describe('GRPCInferenceService', () => {
  let rig: Rig;
  const records: LogRecord[] = [];
  const outcomes: Parameters<NonNullable<GrpcObserver['callFinished']>>[0][] = [];

  beforeEach(async () => {
    records.length = 0;
    outcomes.length = 0;
    rig = await Rig.start({}, { log: recordingLogger(records), observer: { callFinished: (outcome) => outcomes.push(outcome) } });
  });
  afterEach(() => rig.close());

  it('ServerLive, ServerReady and ServerMetadata answer what the dataplane says', async () => {
    expect(await rig.call('ServerLive')).toEqual({ live: true });
    expect(await rig.call('ServerReady')).toEqual({ ready: true });
    rig.dataplane.ready = false;
    expect(await rig.call('ServerReady')).toEqual({ ready: false });
    expect(await rig.call('ServerMetadata')).toEqual({
      name: 'kserve-node',
      version: '1.2.3',
      extensions: ['model_repository', 'binary_tensor_data'],
    });
  });

  it('ModelReady of a known model answers, of an unknown one is NOT_FOUND', async () => {
    expect(await rig.call('ModelReady', { name: 'm' })).toEqual({ ready: true });
    expect(await rig.call('ModelReady', { name: 'loading', version: '2' })).toEqual({ ready: false });
    const error = await failure(rig.call('ModelReady', { name: 'nobody' }));
    expect([error.codeName, error.details]).toEqual(['NOT_FOUND', 'Model with name nobody does not exist.']);
  });

  it('ModelMetadata carries versions, platform, tensors and properties', async () => {
    expect(await rig.call('ModelMetadata', { name: 'm' })).toEqual({
      name: 'm',
      versions: ['1'],
      platform: 'onnx_onnxv1',
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }],
      outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 2] }],
      properties: { opset: '17' },
    });
    expect((await failure(rig.call('ModelMetadata', { name: 'loading' }))).codeName).toBe('UNAVAILABLE');
  });

  it('ModelStatistics answers for one model, or for all when none is named', async () => {
    const expected = {
      name: 'm',
      version: '1',
      last_inference: 1_690_000_000_000,
      inference_count: 10,
      execution_count: 4,
      inference_stats: { success: { count: 101, ns: 1_000_101 }, cache_miss: { count: 108, ns: 1_000_108 } },
      batch_stats: [{ batch_size: 3, compute_infer: { count: 110, ns: 1_000_110 } }],
    };
    expect(await rig.call('ModelStatistics', { name: 'm' })).toMatchObject({ model_stats: [expected] });
    expect(await rig.call('ModelStatistics', {})).toMatchObject({ model_stats: [expected] });
    expect((await failure(rig.call('ModelStatistics', { name: 'nobody' }))).codeName).toBe('NOT_FOUND');
  });

  it('ModelInfer with typed contents answers with typed contents', async () => {
    const reply = await rig.call('ModelInfer', fp32Request({ id: '42', outputs: [{ name: 'x' }], parameters: { k: { double_param: 0.5 } } }));
    expect(reply).toMatchObject({
      model_name: 'm',
      model_version: '1',
      id: '42',
      outputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], contents: { fp32_contents: [1.5, -2] } }],
      raw_output_contents: [],
    });
    const { request } = rig.dataplane.calls[0]!;
    expect(request).toMatchObject({ modelName: 'm', id: '42', outputs: [{ name: 'x' }] });
    expect({ ...request.parameters }).toEqual({ k: 0.5 });
  });

  it('ModelInfer with raw contents answers with raw contents', async () => {
    const raw = Buffer.from('0000c03f000000c0', 'hex');
    const inputs = [{ name: 'x', datatype: 'FP32', shape: [1, 2] }];
    const reply = await rig.call('ModelInfer', { model_name: 'm', inputs, raw_input_contents: [raw] });
    expect(reply).toMatchObject({
      outputs: [{ name: 'x', contents: null, parameters: { binary_data_size: { int64_param: 8 } } }],
      raw_output_contents: [raw],
    });
  });

  it('ModelInfer of megabytes decodes and answers exactly', async () => {
    const values = Array.from({ length: 300_000 }, (_, index) => (index * 2_654_435_761) | 0);
    const inputs = [{ name: 'x', datatype: 'INT32', shape: [values.length], contents: { int_contents: values } }];
    const reply = (await rig.call('ModelInfer', { model_name: 'm', inputs })) as { outputs: { contents: { int_contents: number[] } }[] };
    expect(reply.outputs[0]?.contents.int_contents).toEqual(values);
  });

  it('ModelInfer hands over id, metadata and protocol', async () => {
    await rig.call('ModelInfer', fp32Request({ id: 'mine' }), { metadata: { 'x-request-id': 'theirs', 'x-tenant': 'a' } });
    await rig.call('ModelInfer', fp32Request(), { metadata: { 'x-request-id': 'theirs', 'blob-bin': 'a' } });
    await rig.call('ModelInfer', fp32Request());
    const [first, second, third] = rig.dataplane.calls.map(({ ctx }) => ctx);
    expect([first?.id, second?.id]).toEqual(['mine', 'theirs']);
    expect(third?.id).toMatch(/^[0-9a-f-]{36}$/);
    expect(first?.protocol).toBe('v2-grpc');
    expect(first?.headers['x-tenant']).toBe('a');
    expect(second?.headers['blob-bin']).toBe('YQ==');
    expect(first?.deadline).toBe(Infinity);
  });

  it.each([
    ['of a megabyte', 'i'.repeat(1_000_000)],
    ['with a line break', 'a\nb'],
  ])('ModelInfer with an id %s echoes it and keeps it out of the context', async (_name, id) => {
    const reply = await rig.call('ModelInfer', fp32Request({ id }), { metadata: { 'x-request-id': 'theirs' } });
    expect(reply['id']).toBe(id);
    await rig.call('ModelInfer', fp32Request({ id }), { metadata: { 'x-request-id': 'x'.repeat(200) } });
    const [first, second] = rig.dataplane.calls.map(({ ctx }) => ctx.id);
    expect(first).toBe('theirs');
    expect(second).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('ModelInfer of an unknown model is NOT_FOUND even when its tensors are wrong', async () => {
    const inputs = [{ name: 'x', datatype: 'NONSENSE', shape: [-5] }];
    expect((await failure(rig.call('ModelInfer', { model_name: 'nobody', inputs }))).codeName).toBe('NOT_FOUND');
    const loading = await failure(rig.call('ModelInfer', { model_name: 'loading', inputs }));
    expect([loading.codeName, loading.details]).toEqual(['UNAVAILABLE', 'Model with name loading is not ready.']);
    const wrong = await failure(rig.call('ModelInfer', { model_name: 'm', inputs }));
    expect([wrong.codeName, wrong.details]).toEqual(['INVALID_ARGUMENT', 'Cannot decode input "x": unknown datatype "NONSENSE"']);
  });

  it('bytes that are no message are INVALID_ARGUMENT on every method, and the next call works', async () => {
    for (const path of [PATH, '/inference.GRPCInferenceService/ModelReady', '/grpc.health.v1.Health/Check']) {
      const { reply } = rig.beginBytes(path, Buffer.from([0x0a, 0xff, 0x01]), same);
      expect((await failure(reply)).codeName).toBe('INVALID_ARGUMENT');
    }
    expect(await rig.call('ServerLive')).toEqual({ live: true });
  });

  it('a method that does not exist is UNIMPLEMENTED', async () => {
    const { reply } = rig.beginBytes('/inference.GRPCInferenceService/ModelStreamInfer', Buffer.alloc(0), same);
    expect((await failure(reply)).codeName).toBe('UNIMPLEMENTED');
  });

  it.each((Object.keys(ERROR_TABLE) as ErrorReason[]).map((reason) => ({ reason })))(
    'a model failing with $reason answers as the table says',
    async ({ reason }) => {
      rig.dataplane.infer = () => Promise.reject(new ServingError(reason, 'Cannot do it', { cause: new Error('secret') }));
      const error = await failure(rig.call('ModelInfer', fp32Request()));
      expect(error.codeName).toBe(ERROR_TABLE[reason].grpc ?? 'INTERNAL');
      expect(error.details).toBe('Cannot do it');
      expect(error.metadata.get('grpc-retry-pushback-ms')).toEqual(reason === 'overloaded' ? ['1000'] : []);
    },
  );

  it('an error nobody foresaw is INTERNAL without its words, and is logged once with them', async () => {
    rig.dataplane.infer = () => Promise.reject(new TypeError('secret of the house'));
    const error = await failure(rig.call('ModelInfer', fp32Request({ id: 'r1' })));
    expect([error.codeName, error.details]).toEqual(['INTERNAL', 'Internal server error']);
    const logged = records.filter((record) => record.level === 'error');
    expect(logged).toHaveLength(1);
    expect(logged[0]?.fields).toMatchObject({ method: 'ModelInfer', requestId: 'r1', reason: 'internal' });
    expect(String((logged[0]?.fields['err'] as Error).cause)).toContain('secret of the house');
  });

  it('a fault of the client is logged at debug', async () => {
    await failure(rig.call('ModelInfer', { model_name: 'm', inputs: [{ name: 'x' }] }));
    expect(records.map((record) => record.level)).toEqual(['debug']);
  });

  it.each([
    ['executor_lost', 'error'],
    ['model_failed', 'error'],
    ['deadline_exceeded', 'warn'],
    ['model_not_ready', 'warn'],
    ['overloaded', 'debug'],
    ['cancelled', 'debug'],
  ] as const)('a call that fails with %s is logged once at %s, as over REST', async (reason, level) => {
    rig.dataplane.infer = () => Promise.reject(new ServingError(reason, 'Cannot do it'));
    await failure(rig.call('ModelInfer', fp32Request()));
    expect(records.map((record) => record.level)).toEqual([level]);
  });

  it('a message that no header can hold arrives shortened', async () => {
    rig.dataplane.infer = () => Promise.reject(new ServingError('invalid_request', `\ud800 ${'é'.repeat(50_000)}`));
    const error = await failure(rig.call('ModelInfer', fp32Request()));
    expect(error.codeName).toBe('INVALID_ARGUMENT');
    expect(error.details.slice(0, 3)).toBe('\ufffd é');
    expect(error.details.length).toBeLessThan(1100);
  });

  it('each finished call is observed with its code', async () => {
    await rig.call('ModelInfer', fp32Request());
    await failure(rig.call('ModelReady', { name: 'nobody' }));
    expect(outcomes.map(({ method, code }) => `${method} ${code}`)).toEqual(['ModelInfer OK', 'ModelReady NOT_FOUND']);
    expect(outcomes.every(({ seconds }) => seconds >= 0 && seconds < 10)).toBe(true);
  });
});

describe('a running call', () => {
  let rig: Rig;
  /** Resolves with the context once infer runs; infer settles when the test says so. */
  let started: Promise<StopSignal>;
  let deadline: number;
  let finish: () => void;

  beforeEach(async () => {
    rig = await Rig.start();
    let onStart: (signal: StopSignal) => void;
    started = new Promise((resolve) => (onStart = resolve));
    rig.dataplane.infer = (request, ctx) =>
      new Promise((resolve, reject) => {
        deadline = ctx.deadline;
        finish = () => {
          resolve(echo(request));
        };
        ctx.signal.addEventListener('abort', () => {
          reject(toServingError(ctx.signal.reason));
        });
        onStart(ctx.signal);
      });
  });
  afterEach(() => rig.close());

  it('whose client cancels has its signal aborted', async () => {
    const { reply, call } = rig.begin('ModelInfer', fp32Request());
    const signal = await started;
    const aborted = new Promise<void>((resolve) => {
      signal.addEventListener('abort', resolve);
    });
    call.cancel();
    expect((await failure(reply)).codeName).toBe('CANCELLED');
    await aborted;
    expect((signal.reason as ServingError).reason).toBe('cancelled');
  });

  it('whose connection breaks has its signal aborted', async () => {
    const sockets: Socket[] = [];
    const wire = createServer((near) => {
      const far = connect(rig.port, '127.0.0.1');
      sockets.push(
        near.on('error', () => undefined),
        far.on('error', () => undefined),
      );
      near.pipe(far).pipe(near);
    }).listen(0, '127.0.0.1');
    await once(wire, 'listening');
    const client = rig.connect({}, (wire.address() as AddressInfo).port);
    const failed = failure(rig.begin('ModelInfer', fp32Request(), {}, client).reply);
    const signal = await started;
    const aborted = new Promise<void>((resolve) => {
      signal.addEventListener('abort', resolve);
    });
    for (const socket of sockets) socket.destroy();
    await aborted;
    expect((await failed).codeName).toBe('UNAVAILABLE');
    client.close();
    wire.close();
  });

  it('carries the client deadline on our clock, and answers DEADLINE_EXCEEDED when it passes', async () => {
    const before = performance.now();
    const { reply } = rig.begin('ModelInfer', fp32Request(), { deadline: 300 });
    await started;
    expect(deadline).toBeGreaterThan(before + 200);
    expect(deadline).toBeLessThan(performance.now() + 350);
    expect((await failure(reply)).codeName).toBe('DEADLINE_EXCEEDED');
  });

  it('that ends well leaves its signal alone', async () => {
    const { reply } = rig.begin('ModelInfer', fp32Request());
    const signal = await started;
    finish();
    await reply;
    await rig.call('ServerLive');
    expect(signal.aborted).toBe(false);
  });
});

describe('message sizes', () => {
  const limits = { maxReceiveBytes: 10_000, maxSendBytes: 20_000 };
  const zeros = (count: number): object => ({
    model_name: 'm',
    inputs: [{ name: 'x', datatype: 'UINT8', shape: [count] }],
    raw_input_contents: [Buffer.alloc(count)],
  });
  let rig: Rig;
  beforeEach(async () => {
    rig = await Rig.start(limits);
  });
  afterEach(() => rig.close());

  it('beyond the receive limit are RESOURCE_EXHAUSTED without pushback, and the connection goes on', async () => {
    const error = await failure(rig.call('ModelInfer', zeros(10_001) as Record<string, unknown>));
    expect(error.codeName).toBe('RESOURCE_EXHAUSTED');
    expect(error.metadata.get('grpc-retry-pushback-ms')).toEqual([]);
    expect(rig.dataplane.calls).toEqual([]);
    expect(await rig.call('ServerLive')).toEqual({ live: true });
  });

  it('compressed with gzip are inflated', async () => {
    const client = rig.connect({ 'grpc.default_compression_algorithm': grpc.compressionAlgorithms.gzip });
    const reply = await rig.begin('ModelInfer', zeros(5000) as Record<string, unknown>, {}, client).reply;
    expect((reply['raw_output_contents'] as Buffer[])[0]).toEqual(Buffer.alloc(5000));
    client.close();
  });

  it('that inflate beyond the receive limit are RESOURCE_EXHAUSTED', async () => {
    const client = rig.connect({ 'grpc.default_compression_algorithm': grpc.compressionAlgorithms.gzip });
    const error = await failure(rig.begin('ModelInfer', zeros(1_000_000) as Record<string, unknown>, {}, client).reply);
    expect(error.codeName).toBe('RESOURCE_EXHAUSTED');
    client.close();
  });

  it('of a response beyond the send limit are RESOURCE_EXHAUSTED and name the option', async () => {
    rig.dataplane.infer = (request) =>
      Promise.resolve({ ...echo(request), outputs: [{ name: 'y', datatype: 'UINT8', shape: [30_000], data: new Uint8Array(30_000) }] });
    const error = await failure(rig.call('ModelInfer', fp32Request()));
    expect(error.codeName).toBe('RESOURCE_EXHAUSTED');
    expect(error.details).toMatch(/^Cannot send a response of \d+ bytes: expected at most 20000 \(--grpc_max_send_message_length\)$/);
    expect(error.metadata.get('grpc-retry-pushback-ms')).toEqual([]);
  });
});
