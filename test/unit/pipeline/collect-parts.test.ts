import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { stringsFromBytes } from '../../../src/core/tensor-bytes.ts';
import type { BytesData } from '../../../src/core/tensor.ts';
import { reply, tensor } from '../../../src/handler/index.ts';
import type { Answered } from '../../../src/pipeline/collect-parts.ts';
import { takeAnswer } from '../../../src/pipeline/take-answer.ts';

async function* each<T>(values: readonly T[]): AsyncGenerator<T> {
  for (const value of values) yield await Promise.resolve(value);
}

const collect = async (...parts: readonly unknown[]): Promise<Answered> => takeAnswer(each(parts), () => false);

describe('the parts of an answer', () => {
  it('are the rows of one tensor again, however they were split', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.tuple(fc.double({ noNaN: true }), fc.double({ noNaN: true })), { maxLength: 4 }), { minLength: 1, maxLength: 5 }),
        async (parts) => {
          const { outputs } = await collect(...parts.map((rows) => [tensor('y', 'FP64', [rows.length, 2], rows.flat())]));
          expect(outputs[0]?.shape).toEqual([parts.flat().length, 2]);
          expect([...(outputs[0]!.data as Float64Array)]).toEqual(parts.flat(2));
        },
      ),
    );
  });

  it('keep tensors of other names and BYTES apart and in order', async () => {
    const { outputs, parameters } = await collect(
      { outputs: [tensor('word', 'BYTES', [1], ['a'])], parameters: { step: 1, first: true } },
      { outputs: [tensor('word', 'BYTES', [2], ['', 'ä']), tensor('n', 'INT8', [1], [3])], parameters: { step: 2 } },
    );
    expect(outputs.map(({ name, shape }) => [name, shape])).toEqual([
      ['word', [3]],
      ['n', [1]],
    ]);
    expect(stringsFromBytes(outputs[0]!.data as BytesData)).toEqual(['a', '', 'ä']);
    expect({ ...parameters }).toEqual({ step: 2, first: true });
  });

  it('of bodies are one body', async () => {
    const { body } = await collect(reply('a,b\n', 'text/csv'), reply('1,2\n', 'text/csv'));
    expect([body?.contentType, Buffer.from(body!.bytes).toString()]).toEqual(['text/csv', 'a,b\n1,2\n']);
  });

  it.each([
    ['none', [], 'it yielded nothing'],
    ['tensors and replies', [[tensor('y', 'INT8', [1], [1])], reply('x')], 'some of its parts are tensors and some replies'],
    ['two content types', [reply('x'), reply({})], 'its parts are of text/plain; charset=utf-8 and application/json'],
    [
      'other rows',
      [[tensor('y', 'INT8', [1, 1], [1])], [tensor('y', 'INT8', [1, 2], [1, 2])]],
      'its parts of tensor "y" do not fit: INT8 [1,1] and INT8 [1,2]',
    ],
    ['other datatypes', [[tensor('y', 'INT8', [1], [1])], [tensor('y', 'UINT8', [1], [1])]], 'do not fit'],
    ['scalars', [[tensor('y', 'INT8', [], [1])], [tensor('y', 'INT8', [], [1])]], 'do not fit'],
    ['what is no part', ['text'], 'it answered text "text"'],
    ['more than 64 MiB', [reply(new Uint8Array(40 << 20)), reply(new Uint8Array(40 << 20))], 'its parts take more than 64 MiB together'],
  ])('are refused when there are %s', async (_what, parts, message) => {
    await expect(collect(...parts)).rejects.toThrow(message);
  });

  it('stop being asked for when nobody waits for them', async () => {
    let hasReturned = false;
    async function* endless(): AsyncGenerator {
      try {
        for (;;) yield await Promise.resolve([tensor('y', 'INT8', [1], [1])]);
      } finally {
        hasReturned = true;
      }
    }
    let parts = 0;
    await takeAnswer(endless(), () => ++parts === 3);
    expect([parts, hasReturned]).toEqual([3, true]);
  });
});
