import type { Datatype } from '../../core/datatype.ts';

/** ONNX's element types by number (`TensorProto.DataType`'s C twin) that the Open Inference Protocol has a datatype for. */
const DATATYPE_BY_ELEMENT: Readonly<Record<number, Datatype>> = {
  1: 'FP32',
  2: 'UINT8',
  3: 'INT8',
  4: 'UINT16',
  5: 'INT16',
  6: 'INT32',
  7: 'INT64',
  8: 'BYTES',
  9: 'BOOL',
  10: 'FP16',
  11: 'FP64',
  12: 'UINT32',
  13: 'UINT64',
  16: 'BF16',
};

const ELEMENT_BY_DATATYPE = Object.fromEntries(
  Object.entries(DATATYPE_BY_ELEMENT).map(([element, datatype]) => [datatype, Number(element)]),
) as Record<Datatype, number>;

/** Undefined for complex, 8-bit float and 4-bit types, which no protocol served here can carry. */
export function datatypeOfElement(element: number): Datatype | undefined {
  return DATATYPE_BY_ELEMENT[element];
}

export function elementOfDatatype(datatype: Datatype): number {
  return ELEMENT_BY_DATATYPE[datatype];
}
