import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { createHasher } from '../../src/storage/checksum.ts';
import { etagOf, type StoreDialect } from './storage-server.ts';

export const BUCKET = 'models';
/** A page of a listing. */
const PAGE = 3;

function xml(response: ServerResponse, text: string): true {
  response.writeHead(200, { 'content-type': 'application/xml' });
  response.end(`<?xml version="1.0" encoding="UTF-8"?>${text}`);
  return true;
}

function json(response: ServerResponse, value: unknown, headers: Readonly<Record<string, string>> = {}): true {
  response.writeHead(200, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(value));
  return true;
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

interface Page {
  readonly keys: readonly string[];
  readonly next: string | undefined;
}

function pageOf(objects: ReadonlyMap<string, Buffer>, prefix: string, after: string): Page {
  const all = [...objects.keys()].filter((key) => key.startsWith(prefix) && key > after).sort();
  const keys = all.slice(0, PAGE);
  return { keys, next: all.length > PAGE ? keys.at(-1) : undefined };
}

function hashed(algorithm: 'crc32' | 'crc32c', bytes: Buffer): string {
  const hasher = createHasher(algorithm);
  hasher.update(bytes);
  return Buffer.from(hasher.digest(), 'hex').toString('base64');
}

export const S3: StoreDialect = {
  answer: (url, objects, response) => {
    if (url.searchParams.get('list-type') !== '2') return false;
    if (url.pathname.replaceAll('/', '') !== BUCKET) {
      response.writeHead(404, { 'content-type': 'application/xml' });
      response.end('<Error><Code>NoSuchBucket</Code><Message>no such bucket</Message></Error>');
      return true;
    }
    const { keys, next } = pageOf(objects, url.searchParams.get('prefix') ?? '', url.searchParams.get('continuation-token') ?? '');
    const contents = keys.map((key) => {
      const bytes = objects.get(key) ?? Buffer.alloc(0);
      return `<Contents><Key>${escape(key)}</Key><Size>${bytes.length}</Size><ETag>${escape(etagOf(bytes))}</ETag></Contents>`;
    });
    const more = next === undefined ? '' : `<NextContinuationToken>${escape(next)}</NextContinuationToken>`;
    return xml(
      response,
      `<ListBucketResult><Name>${BUCKET}</Name><KeyCount>${contents.length}</KeyCount><IsTruncated>${String(next !== undefined)}</IsTruncated>${contents.join('')}${more}</ListBucketResult>`,
    );
  },
  keyOf: (url) => decodeURIComponent(url.pathname.slice(`/${BUCKET}/`.length)),
  headersOf: (bytes) => ({ 'x-amz-checksum-crc32': hashed('crc32', bytes), 'x-amz-checksum-type': 'FULL_OBJECT' }),
};

export const GCS: StoreDialect = {
  answer: (url, objects, response) => {
    if (url.pathname !== `/storage/v1/b/${BUCKET}/o`) return false;
    const { keys, next } = pageOf(objects, url.searchParams.get('prefix') ?? '', url.searchParams.get('pageToken') ?? '');
    const items = keys.map((name) => {
      const bytes = objects.get(name) ?? Buffer.alloc(0);
      return { name, size: String(bytes.length), crc32c: hashed('crc32c', bytes), generation: generationOf(bytes) };
    });
    return json(response, { ...(items.length === 0 ? {} : { items }), ...(next === undefined ? {} : { nextPageToken: next }) });
  },
  keyOf: (url) => decodeURIComponent(url.pathname.slice(`/storage/v1/b/${BUCKET}/o/`.length)),
  isCurrent: (url, bytes) => url.searchParams.get('generation') === generationOf(bytes),
  headersOf: () => ({}),
};

function generationOf(bytes: Buffer): string {
  return String(createHash('md5').update(bytes).digest().readUInt32BE(0));
}

export const AZURE: StoreDialect = {
  answer: (url, objects, response) => {
    if (url.searchParams.get('comp') !== 'list') return false;
    const { keys, next } = pageOf(objects, url.searchParams.get('prefix') ?? '', url.searchParams.get('marker') ?? '');
    const blobs = keys.map((key) => {
      const bytes = objects.get(key) ?? Buffer.alloc(0);
      const md5 = createHash('md5').update(bytes).digest('base64');
      const properties = `<Content-Length>${bytes.length}</Content-Length><Etag>${etagOf(bytes).slice(1, -1)}</Etag><Content-MD5>${md5}</Content-MD5>`;
      return `<Blob><Name>${escape(key)}</Name><Properties>${properties}</Properties></Blob>`;
    });
    return xml(response, `<EnumerationResults><Blobs>${blobs.join('')}</Blobs><NextMarker>${escape(next ?? '')}</NextMarker></EnumerationResults>`);
  },
  keyOf: (url) => decodeURIComponent(url.pathname.slice(`/${BUCKET}/`.length)),
  headersOf: () => ({}),
};

/** Keys begin with the name of the repository. */
export const HUB: StoreDialect = {
  answer: (url, objects, response) => {
    const repository = /^\/api\/models\/([^/]+\/[^/]+)\/(revision|tree)\//.exec(url.pathname);
    if (repository === null) return false;
    if (repository[2] === 'revision') return json(response, { sha: COMMIT });
    const prefix = `${repository[1] ?? ''}/`;
    const { keys, next } = pageOf(objects, prefix, url.searchParams.get('cursor') ?? '');
    const entries = keys.map((key) => {
      const bytes = objects.get(key) ?? Buffer.alloc(0);
      return {
        type: 'file',
        path: key.slice(prefix.length),
        size: bytes.length,
        oid: etagOf(bytes),
        lfs: { oid: createHash('sha256').update(bytes).digest('hex') },
      };
    });
    return json(
      response,
      entries,
      next === undefined
        ? {}
        : { link: `<http://${response.req.headers.host ?? ''}${url.pathname}?recursive=true&cursor=${encodeURIComponent(next)}>; rel="next"` },
    );
  },
  keyOf: (url) => {
    const [owner = '', model = '', ...rest] = url.pathname.slice(1).split('/').map(decodeURIComponent);
    return `${owner}/${model}/${rest.slice(2).join('/')}`;
  },
  headersOf: () => ({}),
};

const COMMIT = 'c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00';

/** Keys are paths. */
export const WEB: StoreDialect = {
  answer: () => false,
  keyOf: (url) => decodeURIComponent(url.pathname.slice(1)),
  headersOf: (bytes) => ({ 'content-md5': createHash('md5').update(bytes).digest('base64') }),
};
