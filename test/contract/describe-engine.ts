import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { isBytesData, type Tensor } from '../../src/core/tensor.ts';
import type { EngineSession } from '../../src/engine/index.ts';
import {
  bytesData,
  bytesElements,
  expectAllClose,
  listOnnxModels,
  modelDir,
  readVectors,
  tensorOf,
  tensorValues,
  type VectorCase,
} from '../support/vectors.ts';
import { describeLoading } from './engine-loading.ts';
import { expectRefusal } from './engine-refusal.ts';

/** What an engine may be unable to do; everything else is required. */
export type Ability =
  'BF16' | 'NUL in strings' | 'bytes that are no UTF-8' | 'outputs that are no tensors' | 'stop a run' | 'leave the event loop free';

export interface EngineContract {
  readonly name: string;
  /** Loads the model at a path: a directory or a file. */
  load(path: string): Promise<EngineSession>;
  /** What it cannot do, and why; asserted to fail clearly. */
  readonly unsupported: readonly { readonly what: Ability; readonly reason: string }[];
  /** Native objects not given back yet, where the engine counts them. */
  liveHandles?(): number;
}

/** The suite that every engine of ONNX models passes. */
export function describeEngine(contract: EngineContract): void {
  const can = (what: Ability): boolean => !contract.unsupported.some((entry) => entry.what === what);
  const sessions: EngineSession[] = [];

  const load = async (path: string): Promise<EngineSession> => {
    const session = await contract.load(path);
    sessions.push(session);
    return session;
  };

  describe(`engine ${contract.name}`, () => {
    afterEach(async () => {
      await Promise.all(sessions.splice(0).map((session) => session.dispose()));
    });
    afterAll(() => {
      if (contract.liveHandles !== undefined) expect(contract.liveHandles()).toBe(0);
    });

    describe('golden models', () => {
      for (const model of listOnnxModels()) {
        test(`${model}, each case, answers its vectors`, async () => {
          if (model === 'bf16-identity' && !can('BF16')) {
            await expectRefusal(load(modelDir(model)), 'model_failed', /model\.onnx/);
            return;
          }
          if (model === 'zipmap-strings' && !can('outputs that are no tensors')) {
            await expectRefusal(load(modelDir(model)), 'model_failed', /none is a tensor/);
            return;
          }
          const session = await load(modelDir(model));
          expect(session.platform).toBe('onnx_onnxv1');
          for (const vector of readVectors(model)) await expectAnswer(session, vector);
        });
      }

      const expectAnswer = async (session: EngineSession, vector: VectorCase): Promise<void> => {
        const hasNul = vector.inputs.some((input) => isBytesData(input.data) && bytesElements(input.data).some((element) => element.includes(0)));
        if (hasNul && !can('NUL in strings')) {
          await expectRefusal(session.run(vector.inputs, []), 'invalid_request', /NUL/);
          return;
        }
        const outputs = await session.run(vector.inputs, []);
        expect(outputs.map((output) => output.name)).toEqual(session.signature.outputs.map((output) => output.name));
        const served = new Set(outputs.map((output) => output.name));
        const wanted = can('outputs that are no tensors') ? vector.outputs : vector.outputs.filter((output) => served.has(output.name));
        expect(wanted.length).toBeGreaterThan(0);
        expectAllClose(outputs, wanted);
      };

      test('every datatype comes back bit for bit, sign of zero and NaN included', async () => {
        const session = await load(modelDir('datatypes'));
        const edges = readVectors('datatypes').find((vector) => vector.name === 'edges')!;
        const inputs = edges.inputs.map((input) =>
          input.datatype === 'BYTES' && !can('NUL in strings') ? { ...input, data: bytesData(Array<string>(12).fill('é')) } : input,
        );
        const outputs = await session.run(inputs, []);
        for (const input of inputs) {
          const output = outputs.find(({ name }) => name === input.name.replace('in_', 'out_'))!;
          expect(rawBytes(output), input.name).toEqual(rawBytes(input));
        }
      });

      test('maps, flattened, name their keys', async () => {
        const session = await load(modelDir('iris-zipmap'));
        const [vector] = readVectors('iris-zipmap');
        if (!can('outputs that are no tensors')) {
          expect(session.signature.outputs.map(({ name }) => name)).toEqual(['output_label']);
          {
            await expectRefusal(session.run(vector!.inputs, ['output_probability']), 'invalid_request', /output_probability.*no tensor/);
            return;
          }
        }
        expect(session.properties['keys.output_probability']).toBe('[0,1,2]');
        expect(session.signature.outputs[1]).toEqual({ name: 'output_probability', datatype: 'FP32', shape: [-1, 3] });
        const [scores] = await session.run(vector!.inputs, ['output_probability']);
        expect(scores?.parameters?.['keys']).toBe('[0,1,2]');
        const strings = await load(modelDir('zipmap-strings'));
        const [row] = await strings.run(readVectors('zipmap-strings')[0]!.inputs, []);
        expect(row?.parameters?.['keys']).toBe('["","ant","häßlich","zebra"]');
        const empty = await strings.run([tensorOf('x', 'FP32', [0, 4], [])], []);
        expect(empty[0]?.shape).toEqual([0, 4]);
      });

      test('a sequence of unequal tensors is refused by name, and other outputs are still served', async () => {
        const session = await load(modelDir('ragged-sequence'));
        const inputs = [tensorOf('x', 'FP32', [3], [1, 2, 3])];
        const reason = can('outputs that are no tensors') ? 'model_failed' : 'invalid_request';
        await expectRefusal(session.run(inputs, ['parts']), reason, /"parts"/);
        const [total] = await session.run(inputs, ['total']);
        expect(tensorValues(total!)).toEqual([6]);
        expect(total?.shape).toEqual([]);
      });
    });

    describe('metadata', () => {
      test('varying dimensions are -1 and keep their names', async () => {
        const { signature } = await load(modelDir('bert-tiny'));
        expect(signature.inputs[0]).toEqual({ name: 'input_ids', datatype: 'INT64', shape: [-1, -1], dimensionNames: ['batch', 'sequence'] });
        expect(signature.outputs[1]).toEqual({
          name: 'last_hidden_state',
          datatype: 'FP32',
          shape: [-1, -1, 64],
          dimensionNames: ['batch', 'sequence', undefined],
        });
      });

      test('an input with a default is left out, properties say what the file says', async () => {
        const session = await load(modelDir('default-input'));
        expect(session.signature.inputs.map(({ name }) => name)).toEqual(['x']);
        expect(session.properties).toMatchObject({
          file: 'model.onnx',
          binding: contract.name,
          provider: 'cpu',
          opset: '17, ai.onnx.ml 3',
          ir_version: '8',
          producer: 'kserve-node 1.2',
          domain: 'org.example',
          model_version: '7',
          description: 'Multiplies by a factor',
          graph_name: 'default-input',
          'metadata.author': 'someone',
          'metadata.unit': 'm/s²',
        });
        expect(session.properties['metadata.long']?.length).toBeLessThan(300);
      });

      test('an unknown number of dimensions is published as [] and takes any', async () => {
        const { signature } = await load(modelDir('any-rank'));
        expect(signature).toEqual({ inputs: [{ name: 'x', datatype: 'FP32', shape: [] }], outputs: [{ name: 'y', datatype: 'FP32', shape: [] }] });
      });
    });

    describe('runs', () => {
      test('outputs wanted come back in the order wanted, in buffers of their own', async () => {
        const session = await load(modelDir('digits-mlp'));
        const { inputs } = readVectors('digits-mlp')[0]!;
        const before = rawBytes(inputs[0]!).slice();
        const first = await session.run(inputs, ['probabilities', 'label']);
        const second = await session.run(inputs, ['probabilities']);
        expect(first.map(({ name }) => name)).toEqual(['probabilities', 'label']);
        expect(second.map(({ name }) => name)).toEqual(['probabilities']);
        (first[0]?.data as Float32Array).fill(7);
        expect(tensorValues(second[0]!)).not.toContain(7);
        expect(rawBytes(inputs[0]!)).toEqual(before);
      });

      test('eight at once over one session answer each with its own row', async () => {
        const session = await load(modelDir('digits-mlp'));
        const vectors = readVectors('digits-mlp');
        await Promise.all(
          Array.from({ length: 8 }, async (_, lane) => {
            for (let i = 0; i < 50; i++) {
              const vector = vectors[(lane + i) % vectors.length]!;
              expectAllClose(await session.run(vector.inputs, []), vector.outputs);
            }
          }),
        );
      });

      test('data in small arrays, in views and of no elements is read as it is', async () => {
        const session = await load(modelDir('any-rank'));
        const run = async (data: Float32Array, shape: number[]): Promise<unknown> => {
          const [output] = await session.run([{ name: 'x', datatype: 'FP32', shape, data }], []);
          expect(output?.shape).toEqual(shape);
          return Array.from(output?.data as Float32Array);
        };
        expect(await run(new Float32Array([1]), [])).toEqual([-1]);
        expect(await run(new Float32Array([1, 2, 3, 4]), [2, 2])).toEqual([-1, -2, -3, -4]);
        const whole = Float32Array.from({ length: 100 }, (_, i) => i);
        expect(await run(whole.subarray(3, 5), [2])).toEqual([-3, -4]);
        expect(await run(whole.subarray(10, 90), [80])).toEqual(Array.from({ length: 80 }, (_, i) => -10 - i));
        expect(await run(new Float32Array(0), [2, 0, 3])).toEqual([]);
      });

      test('strings keep every byte', async () => {
        const session = await load(modelDir('datatypes'));
        const plain = readVectors('datatypes').find((vector) => vector.name === 'plain')!;
        const echo = async (elements: (string | Uint8Array)[]): Promise<Uint8Array[]> => {
          const inputs = plain.inputs.map((input) => (input.datatype === 'BYTES' ? { ...input, data: bytesData(elements) } : input));
          const [output] = await session.run(inputs, ['out_bytes']);
          return bytesElements(output?.data as ReturnType<typeof bytesData>);
        };
        const texts = ['', 'a', 'häßlich', '日本語', '🙂', 'x'.repeat(5000), ' ', '\ufeffbom'];
        expect((await echo(texts)).map((element) => Buffer.from(element).toString('utf8'))).toEqual(texts);
        const nul = ['a\0b', '\0', '', '\0\0', 'c', 'd', 'e', 'f'];
        if (can('NUL in strings')) expect((await echo(nul)).map((element) => Buffer.from(element).toString('utf8'))).toEqual(nul);
        else await expectRefusal(echo(nul), 'invalid_request', /"in_bytes".*NUL/);
        const raw = Array.from({ length: 8 }, (_, i) => Uint8Array.from([0xff, 0xfe, 0x80 + i, 0xc3]));
        if (can('bytes that are no UTF-8')) expect((await echo(raw)).map((element) => Uint8Array.from(element))).toEqual(raw);
        else await expectRefusal(echo(raw), 'invalid_request', /"in_bytes".*UTF-8/);
      });
    });

    describe('bad requests', () => {
      const digits = (shape: number[], data: Float32Array): Tensor => ({ name: 'input', datatype: 'FP32', shape, data });
      const good = digits([1, 64], new Float32Array(64));
      const cases: readonly (readonly [what: string, inputs: Tensor[], wanted: string[], pattern: RegExp])[] = [
        ['a dimension of the wrong size', [digits([1, 63], new Float32Array(63))], [], /63.*64|64.*63/],
        ['a rank too many', [digits([1, 1, 64], new Float32Array(64))], [], /rank|dimension/i],
        [
          'another datatype',
          [{ name: 'input', datatype: 'FP64', shape: [1, 64], data: new Float64Array(64) }],
          [],
          /"input": expected datatype FP32, got FP64/,
        ],
        ['data that does not fill the shape', [digits([2, 64], new Float32Array(64))], [], /"input"/],
        ['data of another width', [{ name: 'input', datatype: 'FP32', shape: [1, 64], data: new Uint8Array(64) }], [], /"input"/],
        ['a negative dimension', [digits([-1, 64], new Float32Array(64))], [], /"input"/],
        ['a missing input', [], [], /expected inputs "input"/],
        ['an unknown input', [good, { ...good, name: 'other' }], [], /no input "other"/],
        ['an input named like a property of objects', [good, { ...good, name: '__proto__' }], [], /no input "__proto__"/],
        ['an input given twice', [good, good], [], /"input" is given twice/],
        ['an unknown output', [good], ['nothing'], /no output "nothing".*"label"/],
        ['an output requested twice', [good], ['label', 'label'], /requested twice/],
      ];
      for (const [what, inputs, wanted, pattern] of cases) {
        test(`${what} is the client's fault, and the session goes on`, async () => {
          const session = await load(modelDir('digits-mlp'));
          await expectRefusal(session.run(inputs, wanted), 'invalid_request', pattern);
          expect(await session.run([good], ['label'])).toHaveLength(1);
        });
      }

      test("inputs that fit the signature but not each other are the client's fault", async () => {
        const session = await load(modelDir('bert-tiny'));
        const ids = tensorOf('input_ids', 'INT64', [1, 4], [1, 2, 3, 4]);
        const mask = tensorOf('attention_mask', 'INT64', [1, 3], [1, 1, 1]);
        await expectRefusal(session.run([ids, mask], []), 'invalid_request', /./);
      });

      test('BYTES whose offsets point outside are refused', async () => {
        const session = await load(modelDir('datatypes'));
        const { inputs } = readVectors('datatypes')[0]!;
        const broken = inputs.map((input) =>
          isBytesData(input.data) ? { ...input, data: { bytes: input.data.bytes.subarray(0, 10), offsets: input.data.offsets } } : input,
        );
        await expectRefusal(session.run(broken, []), 'invalid_request', /"in_bytes"/);
      });
    });

    describeLoading(load);

    describe('cancellation', () => {
      const slow = (iterations: number): Tensor[] => [
        tensorOf('x', 'FP32', [1, 8], Array<number>(8).fill(0.5)),
        tensorOf('iterations', 'INT64', [], [iterations]),
      ];
      /** Far more than any machine does in the time that a test has. */
      const FOREVER = 1_000_000_000;

      test('a signal that has aborted already: no run', async () => {
        const session = await load(modelDir('slow-chain'));
        await expectRefusal(session.run(slow(1), [], AbortSignal.abort()), 'cancelled', /./);
      });

      test('a signal that aborts while the model computes: the run ends within 100 ms and the session goes on', async () => {
        const session = await load(modelDir('slow-chain'));
        expect(session.isCancellable).toBe(can('stop a run'));
        if (!can('stop a run')) return;
        const waits: number[] = [];
        // The best of a few: the machine may be busy with something else.
        for (let attempt = 0; attempt < 5 && !(Math.min(...waits) < 100); attempt++) {
          const controller = new AbortController();
          const run = session.run(slow(FOREVER), [], controller.signal);
          await new Promise((resolve) => setTimeout(resolve, 30));
          const start = performance.now();
          controller.abort();
          await expectRefusal(run, 'cancelled', /./);
          waits.push(performance.now() - start);
        }
        expect(Math.min(...waits)).toBeLessThan(100);
        const [y] = await session.run(slow(5), []);
        expect(y?.shape).toEqual([1, 8]);
      });

      test('one of several runs is stopped, the others answer', async () => {
        if (!can('stop a run')) return;
        const session = await load(modelDir('slow-chain'));
        const controller = new AbortController();
        const doomed = session.run(slow(FOREVER), [], controller.signal);
        const others = Array.from({ length: 3 }, () => session.run(slow(500), []));
        const answers = await Promise.all(others.map((run) => run.then((outputs) => tensorValues(outputs[0]!))));
        controller.abort();
        await expectRefusal(doomed, 'cancelled', /./);
        expect(answers[1]).toEqual(answers[0]);
        expect(answers[2]).toEqual(answers[0]);
      });

      test('while a model computes, the event loop is free', async () => {
        const session = await load(modelDir('slow-chain'));
        expect(session.isConcurrent).toBe(can('leave the event loop free'));
        if (!can('leave the event loop free')) return;
        const controller = new AbortController();
        const run = session.run(slow(FOREVER), [], controller.signal);
        for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setTimeout(resolve, 2));
        controller.abort();
        await expectRefusal(run, 'cancelled', /./);
      });
    });

    describe('life', () => {
      test('dispose waits for runs in flight, is idempotent, and later runs are refused', async () => {
        const session = await load(modelDir('digits-mlp'));
        const vectors = readVectors('digits-mlp').slice(0, 4);
        const runs = vectors.map((vector) => session.run(vector.inputs, []));
        const disposal = session.dispose();
        await expectRefusal(session.run(vectors[0]!.inputs, []), 'model_failed', /unloaded/);
        const answers = await Promise.all(runs);
        answers.forEach((outputs, i) => {
          expectAllClose(outputs, vectors[i]!.outputs);
        });
        await Promise.all([disposal, session.dispose()]);
      });

      test('load and dispose a hundred times: memory stays flat, nothing native is left', async () => {
        const cycle = async (): Promise<void> => {
          const session = await contract.load(modelDir('digits-mlp'));
          await session.run([tensorOf('input', 'FP32', [1, 64], Array<number>(64).fill(1))], []);
          await session.dispose();
        };
        for (let i = 0; i < 30; i++) await cycle();
        const before = process.memoryUsage.rss();
        for (let i = 0; i < 100; i++) await cycle();
        expect(process.memoryUsage.rss() / before).toBeLessThan(1.3);
        if (contract.liveHandles !== undefined) expect(contract.liveHandles()).toBe(0);
      });
    });
  });
}

function rawBytes(tensor: Tensor): Uint8Array {
  const { data } = tensor;
  if (isBytesData(data)) return data.bytes;
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
