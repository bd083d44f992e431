import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Batch, BatchResult } from '../../../src/core/batch.ts';
import { SILENT_LOGGER, type Logger } from '../../../src/core/context.ts';
import { ServingError } from '../../../src/core/errors.ts';
import type { InferRequest } from '../../../src/core/infer.ts';
import { NO_CAPABILITIES, type Signature } from '../../../src/core/metadata.ts';
import { dataLength } from '../../../src/core/tensor.ts';
import type { LoadedModel } from '../../../src/executor/index.ts';
import { warmUp } from '../../../src/repository/warm-up.ts';

const SIGNATURE: Signature = {
  inputs: [
    { name: 'x', datatype: 'FP32', shape: [-1, 3] },
    { name: 'h', datatype: 'FP16', shape: [2] },
    { name: 'i', datatype: 'INT64', shape: [-1] },
    { name: 't', datatype: 'BYTES', shape: [1, -1] },
  ],
  outputs: [],
};
const SAMPLE = JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 3], data: [1, 2, 3] }] });
const TIMINGS = { preprocessMs: 0, predictMs: 0, postprocessMs: 0 };

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'warm-up-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

function writeSample(path: string, text = SAMPLE): void {
  mkdirSync(join(directory, path, '..'), { recursive: true });
  writeFileSync(join(directory, path), text);
}

interface Setup {
  readonly requests: InferRequest[];
  readonly lines: string[];
  readonly most: () => number;
  readonly run: (warm: 'auto' | 'on' | 'off' | number, signal?: AbortSignal) => Promise<void>;
}

/** `judge` says why the model refuses a request. */
function setUp(judge: (request: InferRequest) => string | undefined = () => undefined, signature = SIGNATURE, paths = [directory]): Setup {
  const requests: InferRequest[] = [];
  const lines: string[] = [];
  let running = 0;
  let most = 0;
  const model: LoadedModel = {
    signature,
    capabilities: NO_CAPABILITIES,
    platform: 'fake',
    properties: {},
    capacity: 3,
    onCapacityChange: () => undefined,
    onWornOut: () => undefined,
    unload: () => Promise.resolve(),
    run: async ({ members }: Batch): Promise<BatchResult> => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setImmediate(resolve));
      running--;
      return {
        responses: members.map(({ request }) => {
          requests.push(request);
          const why = judge(request);
          return why === undefined
            ? { ok: true, value: { modelName: 'm', outputs: [] } }
            : { ok: false, error: new ServingError('invalid_request', why) };
        }),
        timings: TIMINGS,
      };
    },
  };
  const write = (_: object, message: string): void => void lines.push(message);
  const log: Logger = { ...SILENT_LOGGER, info: write, warn: write };
  return {
    requests,
    lines,
    most: () => most,
    run: (warm, signal = new AbortController().signal) => warmUp(model, 'm', paths, { warmUp: warm, instances: 2 }, log, signal),
  };
}

describe('warm-up', () => {
  it('runs every sample in the order of their names, on all instances at once', async () => {
    writeSample('warmup/b.json', SAMPLE.replace('[1,2,3]', '[4,5,6]'));
    writeSample('warmup/a.json');
    writeSample('warmup/README.md', 'no sample');
    const { run, requests, most, lines } = setUp();
    await run('auto');
    expect(requests.map(({ inputs }) => (inputs[0]?.data as Float32Array)[0])).toEqual([1, 1, 4, 4]);
    expect(most()).toBe(2);
    expect(lines).toEqual(['Model warmed up']);
  });

  it('runs samples so many times as told, and none when it is off', async () => {
    writeSample('warmup/a.json');
    const { run, requests } = setUp();
    await run('off');
    expect(requests).toEqual([]);
    await run(3);
    expect(requests.length).toBe(6);
  });

  it("takes the version's samples before the model's", async () => {
    writeSample('2/warmup/a.json');
    writeSample('warmup/a.json', 'not read');
    const { run, requests } = setUp(undefined, undefined, [join(directory, '2'), directory]);
    await run('auto');
    expect(requests.length).toBe(2);
  });

  it('takes samples beside a model that is a file', async () => {
    writeSample('warmup/a.json');
    writeFileSync(join(directory, 'model.onnx'), '');
    const { run, requests } = setUp(undefined, undefined, [join(directory, 'model.onnx')]);
    await run('auto');
    expect(requests.length).toBe(2);
  });

  it.each([
    ['is no JSON', '{"inputs"', 'expected'],
    ['is no request', '{}', 'expected a field "inputs"'],
    ['is refused by the model', SAMPLE.replace('"x"', '"y"'), 'no such input'],
  ])('fails with the file and the reason when a sample %s', async (_, text, reason) => {
    writeSample('warmup/a.json');
    writeSample('warmup/bad.json', text);
    const { run } = setUp(({ inputs }) => (inputs[0]?.name === 'y' ? 'no such input' : undefined));
    const failure = await run('auto').catch((error: unknown) => error as ServingError);
    expect(failure).toMatchObject({ reason: 'model_failed' });
    expect((failure as ServingError).message).toMatch(new RegExp(`^Cannot warm up with ${join(directory, 'warmup/bad.json')}: .*${reason}`));
  });

  it('leaves the model alone without samples, unless it is told to make up inputs', async () => {
    const { run, requests } = setUp();
    await run('auto');
    expect(requests).toEqual([]);
    await run('on');
    expect(requests.length).toBe(2);
    const [first] = requests;
    expect(first?.inputs.map(({ name, shape, data }) => [name, shape, dataLength(data)])).toEqual([
      ['x', [1, 3], 3],
      ['h', [2], 2],
      ['i', [1], 1],
      ['t', [1, 1], 1],
    ]);
    expect(first?.inputs[0]?.data).toEqual(new Float32Array(3));
  });

  it('tries ones where zeros are refused', async () => {
    const { run, requests, lines } = setUp(({ inputs }) => ((inputs[0]?.data as Float32Array)[0] === 0 ? 'division by zero' : undefined));
    await run('on');
    const [x, h, i] = requests.at(-1)!.inputs;
    expect([x?.data, h?.data, i?.data]).toEqual([Float32Array.of(1, 1, 1), Uint16Array.of(0x3c00, 0x3c00), BigInt64Array.of(1n)]);
    expect(lines).toEqual(['Model warmed up']);
  });

  it('serves a model that takes no made-up inputs cold, and says so', async () => {
    const refused = setUp(() => 'not like that');
    await refused.run(2);
    expect(refused.lines).toEqual(['Model starts cold: it does not take made-up inputs; put requests into warmup/*.json of its directory']);
    const open = setUp(undefined, { isOpen: true, inputs: [], outputs: [] });
    await open.run('on');
    expect(open.requests).toEqual([]);
    expect(open.lines[0]).toContain('it does not say what it takes');
  });

  it('ends with the reason of its signal', async () => {
    writeSample('warmup/a.json');
    const given = new AbortController();
    const { run } = setUp(() => {
      given.abort(new ServingError('deadline_exceeded', 'not loaded within 5 ms'));
      return 'stopped';
    });
    await expect(run(1000, given.signal)).rejects.toThrow('not loaded within 5 ms');
  });
});
