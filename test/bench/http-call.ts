import { request } from 'node:http';

export interface HttpAnswer {
  readonly status: number;
  readonly text: string;
}

/** One POST on a connection of its own. Rejects when the connection breaks or `signal` aborts. */
export function post(url: string, body: string | Buffer, signal?: AbortSignal): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const outgoing = request(url, { method: 'POST', agent: false, headers, ...(signal === undefined ? {} : { signal }) }, (incoming) => {
      let text = '';
      incoming.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      incoming.on('error', reject);
      incoming.on('end', () => {
        resolve({ status: incoming.statusCode ?? 0, text });
      });
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}
