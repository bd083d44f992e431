import { describe, expect, test } from 'vitest';
import type { BatchResult } from '../../../src/core/batch.ts';
import { ServingError } from '../../../src/core/errors.ts';
import { RunningBatch } from '../../../src/executor/running-batch.ts';
import { memberOf } from './member.ts';

interface SetUp {
  readonly controllers: readonly AbortController[];
  readonly running: RunningBatch;
  readonly events: string[];
}

function setUp(count: number, gone: readonly number[] = []): SetUp {
  const controllers = Array.from({ length: count }, () => new AbortController());
  for (const i of gone) controllers[i]?.abort();
  const events: string[] = [];
  const members = controllers.map(({ signal }, i) => memberOf({ modelName: 'm', id: String(i), inputs: [] }, signal));
  const running = new RunningBatch(
    { members },
    {
      cancelled: (member) => events.push(`cancelled ${member}`),
      abandoned: () => events.push('abandoned'),
    },
  );
  return { controllers, running, events };
}

const timings = { preprocessMs: 1, predictMs: 2, postprocessMs: 3 };
const answers = (...ids: string[]): BatchResult => ({
  responses: ids.map((id) => ({ ok: true, value: { modelName: 'm', id, outputs: [] } })),
  timings,
});

describe('RunningBatch', () => {
  test('leaves out members that are gone at the start and puts the answers of the others in their places', async () => {
    const { running } = setUp(4, [0, 2]);
    expect(running.live.map(({ request }) => request.id)).toEqual(['1', '3']);
    running.settle(answers('1', '3'));
    const { responses, timings: got } = await running.result;
    expect(responses).toMatchObject([
      { ok: false, error: { reason: 'cancelled' } },
      { ok: true, value: { id: '1' } },
      { ok: false, error: { reason: 'cancelled' } },
      { ok: true, value: { id: '3' } },
    ]);
    expect(got).toEqual(timings);
  });

  test('tells of each member that leaves, by its place among the living, and of the last one', () => {
    const { controllers, events } = setUp(3, [0]);
    controllers[2]?.abort();
    expect(events).toEqual(['cancelled 1']);
    controllers[1]?.abort();
    expect(events).toEqual(['cancelled 1', 'cancelled 0', 'abandoned']);
  });

  test('when it fails, members that are gone get cancelled and the others the error', async () => {
    const { controllers, running } = setUp(2);
    controllers[0]?.abort();
    running.fail(new ServingError('executor_lost', 'lost'));
    expect((await running.result).responses).toMatchObject([{ error: { reason: 'cancelled' } }, { error: { reason: 'executor_lost' } }]);
  });

  test('once settled, nothing is heard and nothing changes any more', async () => {
    const { controllers, running, events } = setUp(1);
    running.settle(answers('0'));
    controllers[0]?.abort();
    running.fail(new ServingError('internal', 'late'));
    expect(events).toEqual([]);
    expect((await running.result).responses).toMatchObject([{ ok: true }]);
  });
});
