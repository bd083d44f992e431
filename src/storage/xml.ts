/** The contents of all elements of a name, in order. For listings of stores: elements without attributes, none inside one of its own name. */
export function* elementsOf(xml: string, name: string): Generator<string, void, undefined> {
  for (const [, content = ''] of xml.matchAll(new RegExp(`<${name}>([^]*?)</${name}>`, 'g'))) yield content;
}

const ENTITIES: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };

/** The text of the first element of a name; undefined without one. */
export function elementOf(xml: string, name: string): string | undefined {
  const text = new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1];
  if (text?.includes('&') !== true) return text;
  return text.replaceAll(/&(?:#x([0-9a-f]{1,6})|#(\d{1,7})|(\w+));/gi, (found: string, hex?: string, decimal?: string, word?: string) => {
    const code = hex !== undefined ? parseInt(hex, 16) : decimal !== undefined ? Number(decimal) : undefined;
    if (code !== undefined) return code <= 0x10ffff ? String.fromCodePoint(code) : found;
    return ENTITIES[word ?? ''] ?? found;
  });
}
