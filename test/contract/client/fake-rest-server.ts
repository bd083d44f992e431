import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { decodeInferRequest, encodeInferResponse } from '../../../src/codec/index.ts';
import { ERROR_TABLE, type ErrorReason } from '../../../src/core/errors.ts';
import { runSteps } from '../../../src/core/steps.ts';
import { FakeState, type FakeServer } from './fake-server.ts';

const BASE_PATH = '/serving/fake';

/** A small server of the protocol's REST form below a base path. */
export async function startFakeRestServer(port = 0): Promise<FakeServer> {
  const state = new FakeState();
  const server = createServer((request, response) => {
    void handle(state, request, response);
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${BASE_PATH}`,
    state,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

async function handle(state: FakeState, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks);
  const url = request.url ?? '';
  if (!url.startsWith(`${BASE_PATH}/v2`)) {
    json(response, 404, { detail: 'Not Found' });
    return;
  }
  const [, kind, name = '', verb] = url.slice(`${BASE_PATH}/v2`.length).split('/').map(decodeURIComponent);
  if (kind === undefined) json(response, 200, state.serverMetadata);
  else if (kind === 'health') health(response, name === 'live' ? state.live : state.ready, name);
  else if (kind === 'repository') repository(state, response, url, body);
  else if (name === '') json(response, 200, { models: [...state.models] });
  else if (!state.models.has(name)) fail(response, 'model_not_found', `Model with name ${name} does not exist.`);
  else if (url.endsWith('/ready')) health(response, state.ready, 'ready');
  else if (url.endsWith('/infer'))
    infer(state, request, response, body, name, verb === 'versions' ? decodeURIComponent(url.split('/').at(-2) ?? '') : undefined);
  else json(response, 200, state.modelMetadata);
}

function infer(
  state: FakeState,
  incoming: IncomingMessage,
  response: ServerResponse,
  body: Uint8Array,
  modelName: string,
  version: string | undefined,
): void {
  const headers = Object.fromEntries(Object.entries(incoming.headers).map(([name, value]) => [name, String(value)]));
  const length = headers['inference-header-content-length'];
  const request = runSteps(
    decodeInferRequest(body, {
      modelName,
      maxDepth: 100,
      ...(version === undefined ? {} : { modelVersion: version }),
      ...(length === undefined ? {} : { headerLength: Number(length) }),
    }),
  );
  const act = state.next({ headers, request, at: performance.now(), isBinary: length !== undefined });
  switch (act.kind) {
    case 'fail':
      fail(response, act.reason, act.message, act.retryAfterMs);
      return;
    case 'hang':
      response.on('close', () => {
        state.clientLeft();
      });
      return;
    case 'drop':
      incoming.socket.destroy();
      return;
    case 'nonsense':
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"outputs":7}');
      return;
    case 'echo': {
      const wanted = request.outputs?.map((output) => output.name);
      const outputs = request.inputs.filter((input) => wanted === undefined || wanted.includes(input.name));
      const answer = {
        modelName,
        modelVersion: version ?? '1',
        outputs: outputs.map(({ name, datatype, shape, data }) => ({ name, datatype, shape, data })),
        ...(request.id === undefined ? {} : { id: request.id }),
        ...(request.parameters === undefined ? {} : { parameters: request.parameters }),
      };
      const encoded = runSteps(encodeInferResponse(answer, request));
      response.writeHead(200, {
        'content-type': encoded.contentType,
        ...(encoded.headerLength === undefined ? {} : { 'inference-header-content-length': encoded.headerLength }),
      });
      for (const chunk of encoded.chunks) response.write(chunk);
      response.end();
    }
  }
}

function repository(state: FakeState, response: ServerResponse, url: string, body: Buffer): void {
  if (url.endsWith('/index')) {
    json(response, 200, state.index((JSON.parse(body.toString()) as { readonly ready: boolean }).ready));
    return;
  }
  const [name = '', verb = ''] = url.split('/').slice(-2).map(decodeURIComponent);
  state.repositoryCalls.push(`${verb} ${name}`);
  if (verb === 'load' && name === 'broken') fail(response, 'model_not_ready', 'Model with name broken is not ready.');
  else if (verb === 'unload' && !state.models.delete(name)) fail(response, 'model_not_found', `Model with name ${name} does not exist.`);
  else {
    if (verb === 'load') state.models.add(name);
    json(response, 200, { name, [verb]: true });
  }
}

function health(response: ServerResponse, isUp: boolean, what: string): void {
  if (isUp) json(response, 200, { [what]: true });
  else fail(response, 'server_not_ready', 'Server is not ready.');
}

function fail(response: ServerResponse, reason: ErrorReason, message: string, retryAfterMs?: number): void {
  if (retryAfterMs !== undefined) response.setHeader('retry-after', Math.ceil(retryAfterMs / 1000));
  json(response, ERROR_TABLE[reason].http, { error: message });
}

function json(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}
