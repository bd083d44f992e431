import { koffi } from './koffi.ts';
import { openLibrary, type Pointer } from './library.ts';

/** memcpy of the C library that this process already runs on. */
const copy = openLibrary(process.platform === 'win32' ? 'ntdll.dll' : null).symbol('memcpy', 'pointer', ['pointer', 'pointer', 'size']);

/** Copies native memory into a typed array; the caller knows that `from` holds that many bytes. */
export function copyFromNative(to: NodeJS.TypedArray, from: Pointer): void {
  if (to.byteLength > 0) copy(to, from, to.byteLength);
}

/** Copies a typed array into native memory; the caller knows that `to` has room for it. */
export function copyToNative(to: Pointer, from: NodeJS.TypedArray): void {
  if (from.byteLength > 0) copy(to, from, from.byteLength);
}

/**
 * Address of a typed array's bytes. It holds only as long as the array is referenced, and only for arrays of more than 64 bytes or with an ArrayBuffer
 * of their own: smaller ones may lie on V8's movable heap.
 */
export function addressOf(array: NodeJS.TypedArray): Pointer {
  return koffi.address(array);
}

/** Bytes of the NUL-terminated string at an address, decoded as UTF-8. */
export function readCString(address: Pointer): string {
  return koffi.decode.string(address);
}

/** Words of 64 bits that native code may write to: out-parameters, shapes, arrays of pointers. Off the V8 heap, so the addresses are stable. */
export class NativeWords {
  readonly unsigned: BigUint64Array;
  readonly signed: BigInt64Array;
  readonly #addresses: readonly Pointer[];

  constructor(length: number) {
    const buffer = new ArrayBuffer(Math.max(length, 1) * 8);
    this.unsigned = new BigUint64Array(buffer);
    this.signed = new BigInt64Array(buffer);
    const start = addressOf(this.unsigned);
    this.#addresses = Array.from(this.unsigned, (_, index) => start + BigInt(index * 8));
  }

  get length(): number {
    return this.unsigned.length;
  }

  /** Valid while this object is referenced. */
  addressAt(index: number): Pointer {
    const address = this.#addresses[index];
    if (address === undefined) throw new RangeError(`No word ${index} among ${this.length}`);
    return address;
  }

  numberAt(index: number): number {
    return Number(this.signed[index]);
  }

  /** Low 32 bits: what a C `int` or enum written there reads as on little-endian machines. */
  int32At(index: number): number {
    return Number(BigInt.asIntN(32, this.signed[index] ?? 0n));
  }

  pointerAt(index: number): Pointer {
    return this.unsigned[index] ?? 0n;
  }
}

/** NUL-terminated UTF-8 strings at stable addresses, for native code that reads them again and again. */
export class NativeStrings {
  readonly #bytes: Uint8Array;
  readonly #addresses = new Map<string, Pointer>();

  constructor(texts: readonly string[]) {
    const encoded = texts.map((text) => Buffer.from(`${text}\0`, 'utf8'));
    this.#bytes = new Uint8Array(new ArrayBuffer(encoded.reduce((total, bytes) => total + bytes.length, 1)));
    const base = addressOf(this.#bytes);
    let at = 0;
    encoded.forEach((bytes, index) => {
      this.#bytes.set(bytes, at);
      this.#addresses.set(texts[index] ?? '', base + BigInt(at));
      at += bytes.length;
    });
  }

  /** Valid while this object is referenced; undefined for a text it does not hold. */
  addressOf(text: string): Pointer | undefined {
    return this.#addresses.get(text);
  }
}
