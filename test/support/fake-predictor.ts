import { once } from 'node:events';
import { createServer as createHttpServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { createServer as createSocketServer, type AddressInfo, type Server, type Socket } from 'node:net';

export interface PredictorCall {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface FakePredictor {
  /** `host:port`, as --predictor_host takes it. */
  readonly host: string;
  readonly port: number;
  readonly calls: PredictorCall[];
  /** Connections opened so far. */
  connections(): number;
  close(): Promise<void>;
}

export type Behaviour = (response: ServerResponse, call: PredictorCall, request: IncomingMessage) => void;

/** An HTTP server that does what a test wants with each request once its body has come. */
export async function startFakePredictor(behave: Behaviour, tls?: { readonly key: string; readonly cert: string }): Promise<FakePredictor> {
  const calls: PredictorCall[] = [];
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const call = { path: request.url ?? '', headers: request.headers, body: Buffer.concat(chunks) };
      calls.push(call);
      behave(response, call, request);
    });
  };
  const server = tls === undefined ? createHttpServer(handle) : createHttpsServer(tls, handle);
  return listen(server, calls);
}

/** A server that is no HTTP server at all. */
export function startFakeSocket(behave: (socket: Socket) => void): Promise<FakePredictor> {
  return listen(createSocketServer(behave), []);
}

async function listen(server: Server, calls: PredictorCall[]): Promise<FakePredictor> {
  let opened = 0;
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    opened++;
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    host: `127.0.0.1:${port}`,
    port,
    calls,
    connections: () => opened,
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

export function json(response: ServerResponse, status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));
}
