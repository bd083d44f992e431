/** Writes small `.onnx` files field by field, so that a test can choose what is odd about one. */

type Field = readonly [number: number, value: number | bigint | string | Uint8Array];

/** One protobuf message: numbers as varints, texts and bytes with their length. */
export function message(...fields: readonly Field[]): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const [number, value] of fields) {
    if (typeof value === 'number' || typeof value === 'bigint') {
      parts.push(Uint8Array.from([...varint(BigInt(number) << 3n), ...varint(BigInt.asUintN(64, BigInt(value)))]));
    } else {
      const bytes = typeof value === 'string' ? Buffer.from(value, 'utf8') : value;
      parts.push(Uint8Array.from([...varint((BigInt(number) << 3n) | 2n), ...varint(BigInt(bytes.length))]), bytes);
    }
  }
  return Buffer.concat(parts);
}

export function varint(value: bigint): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>= 7n) {
    if (rest < 0x80n) return [...bytes, Number(rest)];
    bytes.push(Number(rest & 0x7fn) | 0x80);
  }
}

const FLOAT = 1;

/** ValueInfoProto of an FP32 tensor of one varying dimension. */
export function vectorInfo(name: string): Uint8Array {
  const dimension = message([2, 'n']);
  return message([1, name], [2, message([1, message([1, FLOAT], [2, message([1, dimension])])])]);
}

export interface ModelChoices {
  readonly irVersion?: number;
  readonly opset?: number;
  readonly opType?: string;
  readonly extra?: readonly Field[];
}

/** A model whose one node turns `x` into `y`. */
export function modelBytes({ irVersion = 8, opset = 17, opType = 'Identity', extra = [] }: ModelChoices = {}): Uint8Array {
  const node = message([1, 'x'], [2, 'y'], [4, opType]);
  const graph = message([1, node], [2, 'tiny'], [11, vectorInfo('x')], [12, vectorInfo('y')]);
  return message([1, irVersion], [7, graph], [8, message([1, ''], [2, opset])], ...extra);
}
