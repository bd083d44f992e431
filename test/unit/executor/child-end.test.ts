import { expect, test } from 'vitest';
import { describeEnd, type ChildEnd } from '../../../src/executor/child-end.ts';

const end: ChildEnd = { pid: 7, exitCode: null, exitSignal: null };

test.each<[Partial<ChildEnd>, string]>([
  [{ exitSignal: 'SIGKILL' }, 'was killed by SIGKILL, probably out of memory'],
  [{ exitSignal: 'SIGKILL', killedBecause: 'a cancelled run did not stop' }, 'was ended by the server: a cancelled run did not stop'],
  [{ exitSignal: 'SIGSEGV' }, 'was killed by SIGSEGV'],
  [{ exitSignal: 'SIGABRT', lastStderrLine: 'FATAL ERROR: Reached heap limit - JavaScript heap out of memory' }, 'ran out of JavaScript heap'],
  [{ exitSignal: 'SIGABRT', lastStderrLine: 'assertion failed' }, 'was killed by SIGABRT'],
  [{ exitCode: 3, lastStderrLine: 'secret path' }, 'exited with code 3'],
  [{ spawnError: 'spawn EAGAIN' }, 'could not be started: spawn EAGAIN'],
  [{}, 'is gone for an unknown reason'],
])('describeEnd of %j says "%s"', (how, text) => {
  expect(describeEnd({ ...end, ...how })).toBe(text);
});
