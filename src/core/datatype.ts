/** The 14 tensor datatypes of the Open Inference Protocol (OIP, "Tensor Data Types"; BF16 is named in its text). */
export const DATATYPES = [
  'BOOL',
  'UINT8',
  'UINT16',
  'UINT32',
  'UINT64',
  'INT8',
  'INT16',
  'INT32',
  'INT64',
  'FP16',
  'BF16',
  'FP32',
  'FP64',
  'BYTES',
] as const;

export type Datatype = (typeof DATATYPES)[number];
export type FixedSizeDatatype = Exclude<Datatype, 'BYTES'>;

/** Bytes of one element on the wire and in memory. BYTES elements vary in size and have no entry. */
const ELEMENT_BYTES: Readonly<Record<FixedSizeDatatype, 1 | 2 | 4 | 8>> = {
  BOOL: 1,
  UINT8: 1,
  UINT16: 2,
  UINT32: 4,
  UINT64: 8,
  INT8: 1,
  INT16: 2,
  INT32: 4,
  INT64: 8,
  FP16: 2,
  BF16: 2,
  FP32: 4,
  FP64: 8,
};

const KNOWN: ReadonlySet<string> = new Set(DATATYPES);

export function isDatatype(text: string): text is Datatype {
  return KNOWN.has(text);
}

/** Size in bytes of one element of a datatype other than BYTES. */
export function elementBytes(datatype: FixedSizeDatatype): 1 | 2 | 4 | 8 {
  return ELEMENT_BYTES[datatype];
}

export function isFloatDatatype(datatype: Datatype): datatype is 'FP16' | 'BF16' | 'FP32' | 'FP64' {
  return datatype === 'FP32' || datatype === 'FP64' || datatype === 'FP16' || datatype === 'BF16';
}

export function isBigIntDatatype(datatype: Datatype): datatype is 'INT64' | 'UINT64' {
  return datatype === 'INT64' || datatype === 'UINT64';
}

/** Inclusive limits of the integer datatypes up to 32 bits; a value outside is refused, never wrapped. */
export const INTEGER_RANGE: Readonly<Record<'UINT8' | 'UINT16' | 'UINT32' | 'INT8' | 'INT16' | 'INT32', readonly [min: number, max: number]>> = {
  UINT8: [0, 0xff],
  UINT16: [0, 0xffff],
  UINT32: [0, 0xffff_ffff],
  INT8: [-0x80, 0x7f],
  INT16: [-0x8000, 0x7fff],
  INT32: [-0x8000_0000, 0x7fff_ffff],
};

/** Inclusive limits of the 64-bit integer datatypes. */
export const BIGINT_RANGE: Readonly<Record<'INT64' | 'UINT64', readonly [min: bigint, max: bigint]>> = {
  INT64: [-0x8000_0000_0000_0000n, 0x7fff_ffff_ffff_ffffn],
  UINT64: [0n, 0xffff_ffff_ffff_ffffn],
};
