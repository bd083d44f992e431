import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Hold } from './effort.ts';

/**
 * A hold by another program, for machines that others use, too: `command` runs the command behind it while it has the machine to itself, as
 * `flock /tmp/machine.lock` does. The part runs meanwhile.
 */
export function createHold(command: string): Hold {
  const [program = '', ...args] = command.split(' ').filter((word) => word !== '');
  return async (part) => {
    const holder = spawn(program, [...args, 'sh', '-c', 'echo held; cat'], { stdio: ['pipe', 'pipe', 'inherit'] });
    const ended = once(holder, 'exit');
    const isHeld = await Promise.race([once(holder.stdout, 'data').then(() => true), ended.then(() => false)]);
    if (!isHeld) throw new Error(`Cannot hold the machine: ${command} ended before it ran anything`);
    try {
      return await part();
    } finally {
      holder.stdin.end();
      await ended;
    }
  };
}
