import { describe, expect, it } from 'vitest';
import { renderExample } from '../../../src/cli/example.ts';

const server = { httpUrl: 'http://localhost:8080', grpcUrl: 'grpc://localhost:8081', stop: () => Promise.resolve() };
const pages: Readonly<Record<string, unknown>> = {
  'http://localhost:8080/v2/models': { models: ['my model', 'other'] },
  'http://localhost:8080/v2/models/my%20model': { name: 'my model', inputs: [{ name: 'x', datatype: 'INT64', shape: [-1] }] },
};

describe('renderExample', () => {
  it('shows the URLs and a request to the first model', async () => {
    const example = await renderExample(server, (url) => Promise.resolve(pages[url]));
    expect(example.split('\n')).toEqual([
      '',
      'REST  http://localhost:8080',
      'gRPC  grpc://localhost:8081',
      '',
      'Try it:',
      `curl -s http://localhost:8080/v2/models/my%20model/infer -H 'Content-Type: application/json' -d '{"inputs":[{"name":"x","datatype":"INT64","shape":[1],"data":[0]}]}'`,
      '',
      '',
    ]);
  });

  it('shows the URLs alone when there is no model, and no gRPC when that is off', async () => {
    const { httpUrl, stop } = server;
    expect(await renderExample({ httpUrl, stop }, () => Promise.resolve({ models: [] }))).toBe('\nREST  http://localhost:8080\n');
  });
});
