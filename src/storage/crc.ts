export type CrcAlgorithm = 'crc32' | 'crc32c' | 'crc64nvme';

/** Reflected polynomials and widths; all three begin and end with every bit flipped. */
const CRCS: Readonly<Record<CrcAlgorithm, { readonly polynomial: bigint; readonly bits: number }>> = {
  crc32: { polynomial: 0xedb88320n, bits: 32 },
  crc32c: { polynomial: 0x82f63b78n, bits: 32 },
  crc64nvme: { polynomial: 0x9a6c9329ac4bc9b5n, bits: 64 },
};

/** The CRC of A followed by B, from those of A and of B, which is `bytes` long: A's times x to the power of B's bits, plus B's. */
export function combineCrc(algorithm: CrcAlgorithm, first: string, second: string, bytes: number): string {
  const { bits } = CRCS[algorithm];
  const shifted = multiply(algorithm, BigInt(`0x${first}`), powerOfX(algorithm, bytes));
  return (shifted ^ BigInt(`0x${second}`)).toString(16).padStart(bits / 4, '0');
}

/** a times b modulo the polynomial; the highest bit is the power 0 of x. */
function multiply(algorithm: CrcAlgorithm, a: bigint, b: bigint): bigint {
  const { polynomial, bits } = CRCS[algorithm];
  let product = 0n;
  let factor = b;
  for (let bit = 1n << BigInt(bits - 1); bit !== 0n; bit >>= 1n) {
    if ((a & bit) !== 0n) product ^= factor;
    factor = (factor & 1n) === 0n ? factor >> 1n : (factor >> 1n) ^ polynomial;
  }
  return product;
}

const POWERS = new Map<string, bigint>();
const MAX_POWERS = 1000;

/** x to the power of the bits in `bytes`. Kept, because the ranges of a file have one length. */
function powerOfX(algorithm: CrcAlgorithm, bytes: number): bigint {
  const key = `${algorithm} ${bytes}`;
  const known = POWERS.get(key);
  if (known !== undefined) return known;
  const { bits } = CRCS[algorithm];
  let power = 1n << BigInt(bits - 1);
  let square = 1n << BigInt(bits - 2);
  for (let rest = BigInt(bytes) * 8n; rest !== 0n; rest >>= 1n) {
    if ((rest & 1n) === 1n) power = multiply(algorithm, power, square);
    square = multiply(algorithm, square, square);
  }
  if (POWERS.size >= MAX_POWERS) POWERS.clear();
  POWERS.set(key, power);
  return power;
}

/** Eight tables of 256 rows, flat: row `256 * k + byte` is the CRC of `byte` with `k` zero bytes behind it. */
interface Tables {
  readonly low: Int32Array;
  readonly high: Int32Array;
}

function makeTables(algorithm: CrcAlgorithm): Tables {
  const { polynomial } = CRCS[algorithm];
  const rows: bigint[] = [];
  for (let byte = 0n; byte < 256n; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1n) === 0n ? crc >> 1n : (crc >> 1n) ^ polynomial;
    rows.push(crc);
  }
  for (let row = 256; row < 8 * 256; row++) {
    const before = rows[row - 256] ?? 0n;
    rows.push((before >> 8n) ^ (rows[Number(before & 255n)] ?? 0n));
  }
  return {
    low: Int32Array.from(rows, (row) => Number(BigInt.asIntN(32, row))),
    high: Int32Array.from(rows, (row) => Number(BigInt.asIntN(32, row >> 32n))),
  };
}

let tables32c: Tables | undefined;
let tables64: Tables | undefined;

export class Crc32c {
  #value = -1;

  update(bytes: Uint8Array): void {
    tables32c ??= makeTables('crc32c');
    this.#value = slice32(tables32c.low, bytes, this.#value);
  }

  digest(): string {
    return hex32(~this.#value);
  }
}

export class Crc64Nvme {
  #low = -1;
  #high = -1;

  update(bytes: Uint8Array): void {
    tables64 ??= makeTables('crc64nvme');
    [this.#low, this.#high] = slice64(tables64, bytes, this.#low, this.#high);
  }

  digest(): string {
    return hex32(~this.#high) + hex32(~this.#low);
  }
}

function hex32(value: number): string {
  return (value >>> 0).toString(16).padStart(8, '0');
}

/* Eight bytes a step, read as two words: views and typed tables are what the compiler makes plain loads of. */

function slice32(table: Int32Array, bytes: Uint8Array, start: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = bytes.length - (bytes.length % 8);
  let crc = start;
  for (let i = 0; i < end; i += 8) {
    const a = crc ^ view.getInt32(i, true);
    const b = view.getInt32(i + 4, true);
    const first =
      (table[1792 + (a & 255)] ?? 0) ^
      (table[1536 + ((a >>> 8) & 255)] ?? 0) ^
      (table[1280 + ((a >>> 16) & 255)] ?? 0) ^
      (table[1024 + (a >>> 24)] ?? 0);
    const second =
      (table[768 + (b & 255)] ?? 0) ^ (table[512 + ((b >>> 8) & 255)] ?? 0) ^ (table[256 + ((b >>> 16) & 255)] ?? 0) ^ (table[b >>> 24] ?? 0);
    crc = first ^ second;
  }
  for (let i = end; i < bytes.length; i++) crc = (crc >>> 8) ^ (table[(crc ^ view.getUint8(i)) & 255] ?? 0);
  return crc;
}

function slice64({ low, high }: Tables, bytes: Uint8Array, startLow: number, startHigh: number): [number, number] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = bytes.length - (bytes.length % 8);
  let l = startLow;
  let h = startHigh;
  for (let i = 0; i < end; i += 8) {
    const a = l ^ view.getInt32(i, true);
    const b = h ^ view.getInt32(i + 4, true);
    const r0 = 1792 + (a & 255);
    const r1 = 1536 + ((a >>> 8) & 255);
    const r2 = 1280 + ((a >>> 16) & 255);
    const r3 = 1024 + (a >>> 24);
    const r4 = 768 + (b & 255);
    const r5 = 512 + ((b >>> 8) & 255);
    const r6 = 256 + ((b >>> 16) & 255);
    const r7 = b >>> 24;
    l = (low[r0] ?? 0) ^ (low[r1] ?? 0) ^ (low[r2] ?? 0) ^ (low[r3] ?? 0) ^ (low[r4] ?? 0) ^ (low[r5] ?? 0) ^ (low[r6] ?? 0) ^ (low[r7] ?? 0);
    h = (high[r0] ?? 0) ^ (high[r1] ?? 0) ^ (high[r2] ?? 0) ^ (high[r3] ?? 0) ^ (high[r4] ?? 0) ^ (high[r5] ?? 0) ^ (high[r6] ?? 0) ^ (high[r7] ?? 0);
  }
  for (let i = end; i < bytes.length; i++) {
    const row = (l ^ view.getUint8(i)) & 255;
    l = ((l >>> 8) | (h << 24)) ^ (low[row] ?? 0);
    h = (h >>> 8) ^ (high[row] ?? 0);
  }
  return [l, h];
}
