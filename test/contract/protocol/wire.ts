import type { ErrorReason } from '../../../src/core/errors.ts';

/** A tensor as plain values, so that no code of the product encodes what it is tested with. INT64 and UINT64 are bigint, BYTES Uint8Array or text. */
export type Value = number | bigint | boolean | string | Uint8Array;

export interface PlainTensor {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly values: readonly Value[];
}

/** A body that only HTTP carries. */
export interface PlainBody {
  readonly contentType: string;
  readonly bytes: Uint8Array;
}

export interface PlainRequest {
  readonly model: string;
  /** `infer` when absent. */
  readonly verb?: 'explain';
  /** Sent instead of tensors. */
  readonly body?: PlainBody;
  /** HTTP headers or gRPC metadata. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly version?: string;
  readonly id?: string;
  readonly inputs: readonly PlainTensor[];
  readonly outputs?: readonly string[];
  readonly parameters?: Readonly<Record<string, string | number | boolean>>;
}

export interface PlainResponse {
  readonly model: string;
  readonly version?: string | undefined;
  readonly id?: string | undefined;
  /** Empty when the answer is a body. */
  readonly outputs: readonly PlainTensor[];
  readonly body?: PlainBody | undefined;
  /** HTTP headers or gRPC metadata; the first value of each. */
  readonly headers: Readonly<Record<string, string>>;
}

export type Outcome =
  { readonly ok: true; readonly response: PlainResponse } | { readonly ok: false; readonly status: string; readonly message: string };

/** One way to carry an inference request to the server and its answer back. */
export interface Wire {
  readonly name: string;
  /** The status that a failure of this reason has on this wire, as `Outcome.status` gives it. */
  statusOf(reason: ErrorReason): string;
  infer(request: PlainRequest): Promise<Outcome>;
  close(): void;
}

const SIZES: Readonly<Record<string, number>> = {
  BOOL: 1,
  UINT8: 1,
  INT8: 1,
  UINT16: 2,
  INT16: 2,
  FP16: 2,
  BF16: 2,
  UINT32: 4,
  INT32: 4,
  FP32: 4,
  UINT64: 8,
  INT64: 8,
  FP64: 8,
};

/** Float16 or bfloat16 bits of a number that they hold exactly. */
function halfBits(value: number, exponentBits: 5 | 8): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, value);
  const bits = view.getUint32(0);
  if (exponentBits === 8) return bits >>> 16;
  const sign = (bits >>> 16) & 0x8000;
  if (Number.isNaN(value)) return sign | 0x7e00;
  if (!Number.isFinite(value)) return sign | 0x7c00;
  const magnitude = Math.abs(value);
  if (magnitude < 2 ** -14) return sign | (magnitude * 2 ** 24);
  return sign | (((bits & 0x7fff_ffff) - 0x3800_0000) >>> 13);
}

function halfValue(bits: number, exponentBits: 5 | 8): number {
  const view = new DataView(new ArrayBuffer(4));
  if (exponentBits === 8) {
    view.setUint32(0, bits << 16);
    return view.getFloat32(0);
  }
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}

/** Raw little-endian bytes of a tensor, as OIP's binary forms want them. */
export function toRaw({ datatype, values }: PlainTensor): Buffer {
  if (datatype === 'BYTES') {
    return Buffer.concat(
      values.flatMap((value) => {
        const bytes = typeof value === 'string' ? Buffer.from(value) : Buffer.from(value as Uint8Array);
        const length = Buffer.alloc(4);
        length.writeUInt32LE(bytes.length);
        return [length, bytes];
      }),
    );
  }
  const size = SIZES[datatype] ?? 4;
  const view = new DataView(new ArrayBuffer(values.length * size));
  values.forEach((value, i) => {
    const at = i * size;
    if (datatype === 'FP32') view.setFloat32(at, Number(value), true);
    else if (datatype === 'FP64') view.setFloat64(at, Number(value), true);
    else if (datatype === 'INT64') view.setBigInt64(at, value as bigint, true);
    else if (datatype === 'UINT64') view.setBigUint64(at, value as bigint, true);
    else if (datatype === 'FP16') view.setUint16(at, halfBits(Number(value), 5), true);
    else if (datatype === 'BF16') view.setUint16(at, halfBits(Number(value), 8), true);
    else if (size === 4) view.setInt32(at, Number(value), true);
    else if (size === 2) view.setInt16(at, Number(value), true);
    else view.setInt8(at, Number(value));
  });
  return Buffer.from(view.buffer);
}

export function fromRaw(datatype: string, raw: Uint8Array): Value[] {
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  const values: Value[] = [];
  if (datatype === 'BYTES') {
    for (let at = 0; at < raw.length;) {
      const length = view.getUint32(at, true);
      values.push(Buffer.from(raw.subarray(at + 4, at + 4 + length)));
      at += 4 + length;
    }
    return values;
  }
  const size = SIZES[datatype] ?? 4;
  for (let at = 0; at < raw.length; at += size) {
    if (datatype === 'FP32') values.push(view.getFloat32(at, true));
    else if (datatype === 'FP64') values.push(view.getFloat64(at, true));
    else if (datatype === 'INT64') values.push(view.getBigInt64(at, true));
    else if (datatype === 'UINT64') values.push(view.getBigUint64(at, true));
    else if (datatype === 'FP16') values.push(halfValue(view.getUint16(at, true), 5));
    else if (datatype === 'BF16') values.push(halfValue(view.getUint16(at, true), 8));
    else if (datatype === 'BOOL') values.push(view.getUint8(at) === 1);
    else if (datatype.startsWith('U')) values.push(size === 4 ? view.getUint32(at, true) : size === 2 ? view.getUint16(at, true) : view.getUint8(at));
    else values.push(size === 4 ? view.getInt32(at, true) : size === 2 ? view.getInt16(at, true) : view.getInt8(at));
  }
  return values;
}

/** JSON text with every integer exact. */
export function toJson(value: unknown): string {
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'number' && !Number.isFinite(value)) return JSON.stringify(String(value));
  if (Object.is(value, -0)) return '-0';
  if (value instanceof Uint8Array) return JSON.stringify(Buffer.from(value).toString('utf8'));
  if (Array.isArray(value)) return `[${value.map(toJson).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    return `{${Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .map(([key, member]) => `${JSON.stringify(key)}:${toJson(member)}`)
      .join(',')}}`;
  }
  return JSON.stringify(value);
}

const BIG = 'an integer of many digits: ';

/** Parses JSON and keeps integers of 16 digits and more as bigint (they stand outside of strings only, in the answers read here). */
export function fromJson(text: string): unknown {
  const marked = text.replace(/([[,:]\s*)(-?\d{16,})(?=\s*[,\]}])/g, `$1"${BIG}$2"`);
  return JSON.parse(marked, (_key, value: unknown) => (typeof value === 'string' && value.startsWith(BIG) ? BigInt(value.slice(BIG.length)) : value));
}

/** A value as JSON gave it, in the form that raw bytes would have had. */
export function fromJsonValue(datatype: string, value: unknown): Value {
  if (datatype === 'BYTES') return Buffer.from(value as string);
  if (datatype === 'INT64' || datatype === 'UINT64') return BigInt(value as number);
  if (datatype === 'FP32') return Math.fround(Number(value));
  if (datatype.startsWith('FP') || datatype === 'BF16') return Number(value);
  return value as Value;
}
