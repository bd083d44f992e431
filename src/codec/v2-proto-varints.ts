import { INTEGER_RANGE } from '../core/datatype.ts';
import { invalidRequest } from '../core/errors.ts';
import type { DataOf, FixedSizeData } from '../core/tensor.ts';
import type { ProtoReader } from './v2-proto-reader.ts';

/** Datatypes whose typed elements are varints. */
export type VarintDatatype = 'BOOL' | 'UINT8' | 'UINT16' | 'UINT32' | 'UINT64' | 'INT8' | 'INT16' | 'INT32' | 'INT64';

/** A varint below this is one byte and its value, in the range of every datatype; most elements are such. */
const ONE_BYTE = 0x80;

/** Reads varints into data[from … to) or until byte `end`; returns the index where it stopped. */
export type VarintFiller = (from: number, to: number, end: number) => number;

/** The loop for one datatype. Throws invalid_request for a value outside the datatype: it is never wrapped. */
export function varintFiller(datatype: VarintDatatype, data: FixedSizeData, reader: ProtoReader, what: string): VarintFiller {
  switch (datatype) {
    case 'BOOL':
      return fillBools(data as DataOf['BOOL'], reader);
    case 'INT64':
    case 'UINT64':
      return fillWords(new Uint32Array(data.buffer), reader);
    case 'INT8':
    case 'INT16':
    case 'INT32':
      return fillSigned(data as Int8Array | Int16Array | Int32Array, reader, datatype, what);
    default:
      return fillUnsigned(data as Uint8Array | Uint16Array | Uint32Array, reader, datatype, what);
  }
}

/** Any varint but 0 is true, as in every protobuf library. */
function fillBools(data: Uint8Array, reader: ProtoReader): VarintFiller {
  return (from, to, end) => {
    let index = from;
    while (index < to && reader.position < end) {
      reader.varint();
      data[index++] = (reader.low | reader.high) === 0 ? 0 : 1;
    }
    return index;
  };
}

/** 64-bit integers as pairs of words, lower one first: no bigint is made. */
function fillWords(words: Uint32Array, reader: ProtoReader): VarintFiller {
  return (from, to, end) => {
    let index = from;
    while (index < to && reader.position < end) {
      reader.varint();
      words[2 * index] = reader.low;
      words[2 * index + 1] = reader.high;
      index += 1;
    }
    return index;
  };
}

/** int32 on the wire: negative values are extended to 64 bits. */
function fillSigned(
  data: Int8Array | Int16Array | Int32Array,
  reader: ProtoReader,
  datatype: 'INT8' | 'INT16' | 'INT32',
  what: string,
): VarintFiller {
  const [min, max] = INTEGER_RANGE[datatype];
  return (from, to, end) => {
    const { bytes } = reader;
    let index = from;
    while (index < to && reader.position < end) {
      const byte = bytes[reader.position] ?? 0;
      if (byte < ONE_BYTE) {
        reader.position += 1;
        data[index++] = byte;
        continue;
      }
      reader.varint();
      const value = reader.low | 0;
      if (reader.high !== (value < 0 ? 0xffff_ffff : 0) || value < min || value > max) throw outOfRange(what, index, datatype, reader.signed());
      data[index++] = value;
    }
    return index;
  };
}

function fillUnsigned(
  data: Uint8Array | Uint16Array | Uint32Array,
  reader: ProtoReader,
  datatype: 'UINT8' | 'UINT16' | 'UINT32',
  what: string,
): VarintFiller {
  const max = INTEGER_RANGE[datatype][1];
  return (from, to, end) => {
    const { bytes } = reader;
    let index = from;
    while (index < to && reader.position < end) {
      const byte = bytes[reader.position] ?? 0;
      if (byte < ONE_BYTE) {
        reader.position += 1;
        data[index++] = byte;
        continue;
      }
      reader.varint();
      if (reader.high !== 0 || reader.low > max) throw outOfRange(what, index, datatype, reader.signed());
      data[index++] = reader.low;
    }
    return index;
  };
}

function outOfRange(what: string, index: number, datatype: keyof typeof INTEGER_RANGE, value: number | bigint): Error {
  const [min, max] = INTEGER_RANGE[datatype];
  return invalidRequest(`Cannot decode ${what}: expected ${min} to ${max} for ${datatype} element ${index}, got ${String(value)}`);
}
