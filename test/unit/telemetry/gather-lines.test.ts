import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { gatherLines } from '../../../src/telemetry/gather-lines.ts';

function gatherTo(): { writes: string[]; write: (text: string) => unknown; exit: () => void } {
  const writes: string[] = [];
  let exit = (): void => undefined;
  const gathering = gatherLines({ write: (text) => writes.push(text) }, (flush) => (exit = flush));
  return {
    writes,
    write: (text) => gathering.write(text),
    exit: () => {
      exit();
    },
  };
}

const info = (message: string): string => `{"level":"info","message":"${message}"}\n`;

describe('gatherLines', () => {
  it('writes the informative lines of one turn together, in order', async () => {
    const { writes, write } = gatherTo();
    write(info('a'));
    write(info('b'));
    expect(writes).toEqual([]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(writes).toEqual([info('a') + info('b')]);
  });

  it('pauses between writes when lines come turn after turn', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'performance'] });
    onTestFinished(() => void vi.useRealTimers());
    const { writes, write } = gatherTo();
    for (let turn = 0; turn < 5; turn++) {
      write(info(String(turn)));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(writes).toEqual([info('0')]);
    vi.advanceTimersByTime(10);
    expect(writes).toEqual([info('0'), [1, 2, 3, 4].map((turn) => info(String(turn))).join('')]);
  });

  it('writes a warning at once, after what came before it', () => {
    const { writes, write } = gatherTo();
    write(info('a'));
    write('{"level":"warn"}\n');
    expect(writes).toEqual([`${info('a')}{"level":"warn"}\n`]);
  });

  it('writes at once when a turn gathers a lot, and when the process exits', () => {
    const { writes, write, exit } = gatherTo();
    write(info('x'.repeat(70_000)));
    expect(writes).toHaveLength(1);
    write(info('last'));
    exit();
    expect(writes[1]).toBe(info('last'));
  });
});
