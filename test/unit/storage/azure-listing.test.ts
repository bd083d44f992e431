import { describe, expect, it } from 'vitest';
import { parseBlobList } from '../../../src/storage/azure-listing.ts';

const page = (blobs: string, marker = '<NextMarker/>'): string =>
  `\ufeff<?xml version="1.0" encoding="utf-8"?>\n<EnumerationResults ContainerName="c">\n  <Blobs>\n${blobs}</Blobs>${marker}</EnumerationResults>`;
const blob = (name: string): string =>
  `<Blob><Name>${name}</Name><Properties><Etag>0x8D</Etag><Content-Length>12</Content-Length><Content-MD5>aGk=</Content-MD5></Properties></Blob>`;

describe('parseBlobList', () => {
  it.each([
    ['a/b.onnx', 'a/b.onnx'],
    ['a &amp; b&lt;&#x41;&#233;', 'a & b<Aé'],
    ['1.50', '1.50'],
    [' a ', ' a '],
    ['true', 'true'],
    ['__proto__', '__proto__'],
  ])('reads the name %j as %j', async (written, name) => {
    expect(await parseBlobList(page(blob(written)))).toEqual({ blobs: [{ name, size: 12, etag: '0x8D', md5: 'aGk=' }], nextMarker: '' });
  });

  it('reads many blobs, none, and where the next page begins', async () => {
    expect((await parseBlobList(page(blob('a') + blob('b'), '<NextMarker>2!x=</NextMarker>')))?.nextMarker).toBe('2!x=');
    expect((await parseBlobList(page(blob('a') + blob('b'))))?.blobs).toHaveLength(2);
    expect(await parseBlobList(page(''))).toEqual({ blobs: [], nextMarker: '' });
  });

  it.each(['', 'no XML', '<html><body>Log in</body></html>', '<EnumerationResults><Blobs>', '{}'])('is undefined for %j', async (text) => {
    expect(await parseBlobList(text)).toBeUndefined();
  });
});
