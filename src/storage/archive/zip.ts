import { crc32 } from 'node:zlib';
import { getFileNameLowLevel, openPromise, type Entry, type ZipFile } from 'yauzl';
import { MAX_TARGET_BYTES, type ArchiveEntry, type EntryKind } from './entry.ts';
import type { Meter } from './limits.ts';
import { quoteName, type Refuse } from './refusal.ts';

const S_IFMT = 0o170000;
const S_IFREG = 0o100000;
const S_IFDIR = 0o040000;
const S_IFLNK = 0o120000;

const LOCAL_HEADER_BYTES = 30;
const EMPTY = Buffer.alloc(0);

interface Listed {
  readonly name: string;
  readonly kind: EntryKind;
  readonly mode: number;
  readonly record: Entry;
}

/** The entries of a zip in the order of its directory, which is read and checked as a whole before the first entry is given. */
export async function* readZip(file: string, meter: Meter, refuse: Refuse, signal: AbortSignal): AsyncGenerator<ArchiveEntry> {
  const zip = await openPromise(file, { autoClose: false, decodeStrings: false });
  try {
    const listed: Listed[] = [];
    let promised = 0;
    for await (const record of zip.eachEntry()) {
      signal.throwIfAborted();
      const entry = toListed(record, refuse);
      listed.push(entry);
      meter.addEntry(entry.name);
      promised += record.uncompressedSize;
      meter.expect(entry.name, promised);
    }
    refuseOverlap(listed, refuse);
    for (const entry of listed) {
      const target = entry.kind === 'symlink' ? await readTarget(zip, entry, refuse) : '';
      yield {
        name: entry.name,
        kind: entry.kind,
        executable: (entry.mode & 0o100) !== 0,
        target,
        size: entry.record.uncompressedSize,
        content: () => readContent(zip, entry, refuse),
      };
    }
  } finally {
    zip.close();
  }
}

function toListed(record: Entry, refuse: Refuse): Listed {
  const { generalPurposeBitFlag, fileNameRaw, extraFields, compressionMethod } = record;
  const name = getFileNameLowLevel(generalPurposeBitFlag, fileNameRaw, extraFields, false);
  if (record.isEncrypted()) throw refuse(name, 'is encrypted', 'pack without a password');
  if (!record.canDecodeFileData()) throw refuse(name, `is packed with method ${compressionMethod}`, 'pack with deflate or without compression');
  const mode = record.externalFileAttributes >>> 16;
  const kind = kindOf(name, mode, refuse);
  if (kind === 'directory' && record.uncompressedSize > 0) {
    throw refuse(name, `is a directory with ${record.uncompressedSize} bytes of content`, 'pack it again');
  }
  // Each record may bring 128 KiB of these, and all records are held at once.
  record.fileNameRaw = Buffer.from(fileNameRaw);
  record.extraFields = [];
  record.extraFieldRaw = record.fileCommentRaw = EMPTY;
  record.fileComment = record.comment = '';
  return { name, kind, mode, record };
}

/** Unix modes count whoever says to have made the archive: others leave these bits zero. */
function kindOf(name: string, mode: number, refuse: Refuse): EntryKind {
  const type = mode & S_IFMT;
  if (type === S_IFLNK) return 'symlink';
  if (type !== 0 && type !== S_IFREG && type !== S_IFDIR) {
    throw refuse(name, `is a device, pipe or socket (mode ${type.toString(8)})`, 'pack only files, directories and links');
  }
  return type === S_IFDIR || name.endsWith('/') ? 'directory' : 'file';
}

/** Entries that share bytes are how a small zip unpacks to a huge one. */
function refuseOverlap(listed: readonly Listed[], refuse: Refuse): void {
  const sorted = [...listed].sort((a, b) => a.record.relativeOffsetOfLocalHeader - b.record.relativeOffsetOfLocalHeader);
  let end = 0;
  for (const { name, record } of sorted) {
    const start = record.relativeOffsetOfLocalHeader;
    if (start < end) throw refuse(name, 'shares its bytes with another entry', 'pack it again');
    end = start + LOCAL_HEADER_BYTES + record.fileNameLength + record.compressedSize;
  }
}

async function readTarget(zip: ZipFile, entry: Listed, refuse: Refuse): Promise<string> {
  const { uncompressedSize } = entry.record;
  if (uncompressedSize > MAX_TARGET_BYTES) throw refuse(entry.name, `links to a name of ${uncompressedSize} bytes`, 'pack the file itself');
  const chunks: Uint8Array[] = [];
  for await (const chunk of readContent(zip, entry, refuse)) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

async function* readContent(zip: ZipFile, { name, record }: Listed, refuse: Refuse): AsyncGenerator<Uint8Array> {
  const header = await zip.readLocalFileHeaderPromise(record);
  if (!header.fileName.equals(record.fileNameRaw)) {
    throw refuse(name, `is called ${quoteName(header.fileName.toString('utf8'))} beside its bytes`, 'pack it again');
  }
  let crc = 0;
  let bytes = 0;
  for await (const chunk of (await zip.openReadStreamPromise(record)) as AsyncIterable<Uint8Array>) {
    crc = crc32(chunk, crc);
    bytes += chunk.byteLength;
    yield chunk;
  }
  if (bytes === record.uncompressedSize && crc === record.crc32) return;
  const promised = `${record.uncompressedSize} with ${record.crc32.toString(16)}`;
  throw refuse(name, `has ${bytes} bytes with CRC ${crc.toString(16)} where ${promised} were promised`, 'pack and upload it again');
}
