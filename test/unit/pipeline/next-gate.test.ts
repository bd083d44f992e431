import { describe, expect, it } from 'vitest';
import { StopSource } from '../../../src/core/stop-signal.ts';
import { NextGate } from '../../../src/pipeline/next-gate.ts';

const never = new StopSource();

/** Work that begins when the gate lets it, and ends when the test says so. */
function controlled(
  gate: NextGate,
  started: number[],
  id: number,
  signal = new StopSource(),
): { readonly end: () => void; readonly done: Promise<number>; readonly stop: StopSource } {
  let end = (): void => undefined;
  const ended = new Promise<void>((resolve) => (end = resolve));
  const done = gate.run(signal, async () => {
    started.push(id);
    await ended;
    return id;
  });
  return { end, done, stop: signal };
}

describe('a gate', () => {
  it('lets as many run as its limit, the others in the order in which they came', async () => {
    const gate = new NextGate(2);
    const started: number[] = [];
    const work = [0, 1, 2, 3].map((id) => controlled(gate, started, id));
    expect(started).toEqual([0, 1]);
    work[1]!.end();
    await work[1]!.done;
    await Promise.resolve();
    expect(started).toEqual([0, 1, 2]);
    for (const { end } of work) end();
    expect(await Promise.all(work.map(({ done }) => done))).toEqual([0, 1, 2, 3]);
  });

  it('drops one whose request is gone while it waits, and those behind it move up', async () => {
    const gate = new NextGate(1);
    const started: number[] = [];
    const [first, second, third] = [0, 1, 2].map((id) => controlled(gate, started, id));
    second!.stop.abort('gone');
    await expect(second!.done).rejects.toMatchObject({ reason: 'cancelled' });
    first!.end();
    third!.end();
    expect(await third!.done).toBe(2);
    expect(started).toEqual([0, 2]);
  });

  it('gives its place on when work fails, and takes none for a request that is gone', async () => {
    const gate = new NextGate(1);
    await expect(gate.run(never, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    const gone = new StopSource();
    gone.abort('gone');
    await expect(gate.run(gone, () => Promise.resolve(1))).rejects.toMatchObject({ reason: 'cancelled' });
    expect(await gate.run(never, () => Promise.resolve(1))).toBe(1);
  });

  it('bounds its queue', async () => {
    const gate = new NextGate(0);
    const stop = new StopSource();
    const waiting = Array.from({ length: 4096 }, () => gate.run(stop, () => Promise.resolve()).catch(() => 'dropped'));
    await expect(gate.run(never, () => Promise.resolve())).rejects.toMatchObject({ reason: 'handler_failed' });
    stop.abort('gone');
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(['dropped']));
  });
});
