/** Bits of each byte's code and, last, of the end-of-string mark (RFC 7541 appendix B). The code is canonical: the codes follow from their lengths. */
const CODE_BITS = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13,
  6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
  7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20,
  22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23,
  23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26,
  27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
  26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];
const END_OF_STRING = 256;
const LONGEST_CODE = 30;
/** Padding is shorter than a byte. */
const MOST_PADDING = 7;

/** `TREE[2 * node + bit]`: the next node, or `-1 - symbol` at a leaf. */
const TREE = buildTree();

function buildTree(): Int16Array {
  const tree = new Int16Array(2 * CODE_BITS.length);
  let nodes = 1;
  let code = 0;
  for (let bits = 1; bits <= LONGEST_CODE; bits++) {
    code *= 2;
    for (let symbol = 0; symbol < CODE_BITS.length; symbol++) {
      if (CODE_BITS[symbol] !== bits) continue;
      let node = 0;
      for (let bit = bits - 1; bit > 0; bit--) {
        const slot = 2 * node + (Math.floor(code / 2 ** bit) % 2);
        node = tree[slot] ?? 0;
        if (node === 0) tree[slot] = node = nodes++;
      }
      tree[2 * node + (code % 2)] = -1 - symbol;
      code++;
    }
  }
  return tree;
}

/** The string that `bytes[from … to]` are the Huffman code of, one character a byte; undefined for what is not (RFC 7541 section 5.2). */
export function decodeHuffman(bytes: Uint8Array, from: number, to: number): string | undefined {
  let text = '';
  let node = 0;
  let depth = 0;
  let isAllOnes = true;
  for (let at = from; at < to; at++) {
    const byte = bytes[at] ?? 0;
    for (let bit = 7; bit >= 0; bit--) {
      const value = (byte >> bit) & 1;
      if (value === 0) isAllOnes = false;
      const next = TREE[2 * node + value] ?? 0;
      if (next >= 0) {
        node = next;
        depth++;
        continue;
      }
      const symbol = -1 - next;
      if (symbol === END_OF_STRING) return undefined;
      text += String.fromCharCode(symbol);
      node = depth = 0;
      isAllOnes = true;
    }
  }
  return depth <= MOST_PADDING && isAllOnes ? text : undefined;
}
