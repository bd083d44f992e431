import { decodeHeaderBlock } from '../codec/index.ts';

/** Blocks known by heart, and how long they may be: answers mostly begin and end alike. */
const MOST_KNOWN_BLOCKS = 64;
const LONGEST_KNOWN_BLOCK = 256;

/** Decodes header blocks that mean the same wherever they stand, those that come again and again once. */
export class KnownBlocks {
  readonly #known = new Map<string, readonly string[]>();

  /** Names and values in turn, the same array for blocks of the same bytes. Throws ServingError invalid_request. */
  decode(block: Buffer): readonly string[] {
    if (block.length > LONGEST_KNOWN_BLOCK) return decodeHeaderBlock(block);
    const key = block.toString('latin1');
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const headers = decodeHeaderBlock(block);
    if (this.#known.size >= MOST_KNOWN_BLOCKS) this.#known.clear();
    this.#known.set(key, headers);
    return headers;
  }
}
