import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Fifo, type FifoLinks } from '../../../src/scheduler/fifo.ts';

class Item implements FifoLinks<Item> {
  previous: Item | undefined = undefined;
  next: Item | undefined = undefined;
}

it('a Fifo behaves as an array under any pushes, shifts and removals', () => {
  const commands = fc.array(fc.oneof(fc.constant('push' as const), fc.constant('shift' as const), fc.nat({ max: 20 })), { maxLength: 60 });
  fc.assert(
    fc.property(commands, (steps) => {
      const list = new Fifo<Item>();
      const model: Item[] = [];
      for (const step of steps) {
        if (step === 'push') {
          const item = new Item();
          list.push(item);
          model.push(item);
        } else if (step === 'shift') {
          expect(list.shift()).toBe(model.shift());
        } else if (model.length > 0) {
          const [item] = model.splice(step % model.length, 1);
          list.remove(item!);
          expect([item!.previous, item!.next]).toEqual([undefined, undefined]);
        }
        expect(list.size).toBe(model.length);
      }
      const rest: Item[] = [];
      for (let item = list.first; item !== undefined; item = item.next) rest.push(item);
      expect(rest.every((item, i) => item === model[i]) && rest.length === model.length).toBe(true);
    }),
  );
});
