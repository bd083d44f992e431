import type { ArrayWalker } from './json/array-walker.ts';
import { readNumber } from './json/number.ts';
import { BatchSink, elementError } from './tensor-json-sink.ts';

const EXPECTED = 'BOOL (true, false, 0 or 1)';

/** BOOL: `true`, `false`, 0 and 1. */
export class BoolSink extends BatchSink<Uint8Array> {
  constructor(capacity: number) {
    super('BOOL', capacity, (length) => new Uint8Array(length));
  }

  protected fillBatch(walker: ArrayWalker): number {
    let count = 0;
    while (count < this.batch.length && walker.next()) {
      this.batch[count] = readBool(walker, this.length + count);
      count++;
    }
    return count;
  }
}

function readBool(walker: ArrayWalker, index: number): number {
  const { reader } = walker;
  const start = reader.pos;
  const byte = reader.bytes[start] ?? 0;
  if (byte === 0x74 && reader.takeLiteral('true')) return 1;
  if (byte === 0x66 && reader.takeLiteral('false')) return 0;
  const kind = reader.describeNext();
  if (kind !== 'a number') throw elementError(walker.what, index, EXPECTED, kind);
  const value = readNumber(reader);
  if (value !== 0 && value !== 1) throw elementError(walker.what, index, EXPECTED, reader.asciiSince(start));
  return value;
}
