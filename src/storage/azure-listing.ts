/** A blob as Azure lists it (List Blobs, https://learn.microsoft.com/rest/api/storageservices/list-blobs). */
export interface ListedBlob {
  readonly name: string;
  /** Bytes; NaN where the listing does not say. */
  readonly size: number;
  readonly etag: string | undefined;
  /** Base64, of the whole blob. */
  readonly md5: string | undefined;
}

export interface BlobPage {
  readonly blobs: readonly ListedBlob[];
  /** Empty on the last page. */
  readonly nextMarker: string;
}

/** Undefined for what is no listing. */
export async function parseBlobList(xml: string): Promise<BlobPage | undefined> {
  const { XMLParser } = await import('fast-xml-parser');
  // Names that look like numbers are names, and blanks at their ends belong to them.
  const parser = new XMLParser({ parseTagValue: false, trimValues: false, htmlEntities: true, isArray: (name) => name === 'Blob' });
  // Half a listing is none.
  if (!xml.trimEnd().endsWith('</EnumerationResults>')) return undefined;
  let list: unknown;
  try {
    list = memberOf(parser.parse(xml), 'EnumerationResults');
  } catch {
    return undefined;
  }
  if (list === undefined) return undefined;
  const blobs = memberOf(memberOf(list, 'Blobs'), 'Blob');
  return { blobs: Array.isArray(blobs) ? blobs.flatMap(readBlob) : [], nextMarker: textOf(memberOf(list, 'NextMarker')) ?? '' };
}

function readBlob(blob: unknown): ListedBlob[] {
  const name = textOf(memberOf(blob, 'Name'));
  if (name === undefined) return [];
  const properties = memberOf(blob, 'Properties');
  const text = (member: string): string | undefined => textOf(memberOf(properties, member));
  return [{ name, size: Number(text('Content-Length')), etag: text('Etag'), md5: text('Content-MD5') }];
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>)[name] : undefined;
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
