import { crc32, deflateRawSync } from 'node:zlib';

/** An entry of an archive written byte by byte, so that it may lie about anything. */
export interface RawEntry {
  readonly name: string | Buffer;
  readonly content?: string | Uint8Array;
  readonly mode?: number;
  /** Of tars: the type letter; '0' is a file. */
  readonly type?: string;
  readonly target?: string;
  /** Of tars: written before the entry, as GNU and pax tools do for long names. */
  readonly pax?: Readonly<Record<string, string>>;
  /** What the headers say instead of the truth. */
  readonly claims?: { readonly size?: number; readonly crc?: number; readonly localName?: string; readonly method?: number; readonly flags?: number };
  /** Of zips: bytes of another entry, by its index, instead of own ones. */
  readonly sharesWith?: number;
  readonly stored?: true;
}

export const SYMLINK_MODE = 0o120777;

const BLOCK = 512;

export function tarBytes(entries: readonly RawEntry[], options: { readonly end?: Uint8Array } = {}): Buffer {
  const blocks: Uint8Array[] = [];
  for (const entry of entries) {
    if (entry.pax !== undefined) blocks.push(...tarEntry({ name: 'pax', type: 'x', content: paxRecords(entry.pax) }));
    blocks.push(...tarEntry(entry));
  }
  blocks.push(options.end ?? Buffer.alloc(2 * BLOCK));
  return Buffer.concat(blocks);
}

function tarEntry({ name, content = '', mode = 0o644, type = '0', target = '', claims = {} }: RawEntry): Uint8Array[] {
  const body = Buffer.from(content as string);
  const header = Buffer.alloc(BLOCK);
  Buffer.from(name as string).copy(header, 0, 0, 100);
  header.write(octal(mode, 7), 100);
  header.write(octal(0, 7), 108);
  header.write(octal(0, 7), 116);
  header.write(octal(claims.size ?? body.byteLength, 11), 124);
  header.write(octal(0, 11), 136);
  header.write(type, 156, 'latin1');
  Buffer.from(target).copy(header, 157, 0, 100);
  header.write('ustar\u000000', 257, 'latin1');
  header.fill(' ', 148, 156);
  header.write(
    octal(
      header.reduce((sum, byte) => sum + byte, 0),
      6,
    ) + '\0 ',
    148,
    'latin1',
  );
  const padding = (BLOCK - (body.byteLength % BLOCK)) % BLOCK;
  return [header, body, Buffer.alloc(padding)];
}

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, '0');
}

/** `length key=value\n`, the length counting itself. */
function paxRecords(pax: Readonly<Record<string, string>>): Buffer {
  const records = Object.entries(pax).map(([key, value]) => {
    const rest = ` ${key}=${value}\n`;
    let length = Buffer.byteLength(rest) + 1;
    while (String(length).length + Buffer.byteLength(rest) !== length) length += 1;
    return `${length}${rest}`;
  });
  return Buffer.from(records.join(''));
}

export function zipBytes(entries: readonly RawEntry[]): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  const offsets: number[] = [];
  let offset = 0;
  for (const { name, content = '', mode = 0o100644, claims = {}, sharesWith, stored } of entries) {
    const rawName = Buffer.from(name as string);
    const localName = Buffer.from(claims.localName ?? rawName);
    const body = Buffer.from(content as string);
    const packed = stored === true ? body : deflateRawSync(body);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(claims.flags ?? 0x800, 2);
    common.writeUInt16LE(claims.method ?? (stored === true ? 0 : 8), 4);
    common.writeUInt32LE(claims.crc ?? crc32(body), 10);
    common.writeUInt32LE(packed.byteLength, 14);
    common.writeUInt32LE(claims.size ?? body.byteLength, 18);
    common.writeUInt16LE(localName.byteLength, 22);
    const at = sharesWith === undefined ? offset : (offsets[sharesWith] ?? 0);
    offsets.push(at);
    if (sharesWith === undefined) {
      const local = Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), common, localName, packed]);
      parts.push(local);
      offset += local.byteLength;
    }
    common.writeUInt16LE(rawName.byteLength, 22);
    const record = Buffer.alloc(46);
    record.write('PK\x01\x02', 'latin1');
    record.writeUInt16LE((3 << 8) | 20, 4);
    common.copy(record, 6);
    record.writeUInt32LE((mode << 16) >>> 0, 38);
    record.writeUInt32LE(at, 42);
    directory.push(record, rawName);
  }
  const central = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(central.byteLength, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, central, end]);
}
