import { Agent, request } from 'node:http';
import { credentials, loadPackageDefinition, type ServiceClientConstructor } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { join } from 'node:path';
import { REQUEST, ROOT } from './surroundings.ts';

export interface Answer {
  readonly status: number;
  readonly body: string;
}

/** POST of the digits request to `path`, under the name that the ingress tells services apart by. Connections are kept by `agent`. */
export function post(url: URL, host: string, path: string, agent?: Agent, body: Buffer = REQUEST): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      new URL(path, url),
      { method: 'POST', headers: { host, 'content-type': 'application/json', 'content-length': body.length }, agent, timeout: 60_000 },
      (incoming) => {
        let text = '';
        incoming.on('data', (chunk: Buffer) => (text += chunk.toString()));
        incoming.once('error', reject);
        incoming.once('end', () => {
          resolve({ status: incoming.statusCode ?? 0, body: text });
        });
      },
    );
    outgoing.once('timeout', () => outgoing.destroy(new Error('no answer within 60 s')));
    outgoing.once('error', reject);
    outgoing.end(body);
  });
}

export function labelOf({ body }: Answer): number | undefined {
  const { outputs } = JSON.parse(body) as { readonly outputs: readonly { readonly name: string; readonly data: readonly number[] }[] };
  return outputs.find(({ name }) => name === 'label')?.data[0];
}

interface ModelInferResponse {
  readonly outputs: readonly { readonly name: string; readonly contents: { readonly int64_contents: readonly string[] } }[];
}
type ModelInfer = (message: object, options: { readonly deadline: Date }, done: (error: Error | null, response: ModelInferResponse) => void) => void;

/** The label of the digits request by gRPC; `authority` is the name that the ingress goes by. */
export async function inferByGrpc(address: string, authority: string, model: string): Promise<number> {
  const { inference } = loadPackageDefinition(loadSync(join(ROOT, 'protos/open_inference.proto'), { keepCase: true, longs: String })) as unknown as {
    readonly inference: { readonly GRPCInferenceService: ServiceClientConstructor };
  };
  const client = new inference.GRPCInferenceService(address, credentials.createInsecure(), { 'grpc.default_authority': authority });
  const { inputs } = JSON.parse(REQUEST.toString()) as { readonly inputs: readonly { readonly data: readonly number[] }[] };
  const message = { model_name: model, inputs: inputs.map(({ data, ...tensor }) => ({ ...tensor, contents: { fp32_contents: data } })) };
  try {
    const modelInfer = (client as unknown as { readonly ModelInfer: ModelInfer }).ModelInfer.bind(client);
    const response = await new Promise<ModelInferResponse>((resolve, reject) => {
      modelInfer(message, { deadline: new Date(Date.now() + 60_000) }, (error, answer) => {
        if (error === null) resolve(answer);
        else reject(error);
      });
    });
    return Number(response.outputs.find(({ name }) => name === 'label')?.contents.int64_contents[0]);
  } finally {
    client.close();
  }
}

export interface Traffic {
  readonly answered: number;
  /** Everything but the right label with status 200. */
  readonly failures: readonly string[];
  /** Resolves when the last request is answered. */
  stop(): Promise<void>;
}

/** Asks without a pause over `connections` kept connections until it is stopped. */
export function startTraffic(url: URL, host: string, path: string, connections = 4): Traffic {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const failures: string[] = [];
  let answered = 0;
  let isStopped = false;
  const ask = async (): Promise<void> => {
    while (!isStopped) {
      try {
        const answer = await post(url, host, path, agent);
        if (answer.status === 200 && labelOf(answer) === 1) answered += 1;
        else failures.push(`${new Date().toISOString()} ${String(answer.status)} ${answer.body.slice(0, 200)}`);
      } catch (error) {
        failures.push(`${new Date().toISOString()} ${String(error)}`);
      }
      // A processor is left for the cluster.
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  const asking = Promise.all(Array.from({ length: connections }, ask));
  return {
    get answered() {
      return answered;
    },
    failures,
    stop: async () => {
      isStopped = true;
      await asking;
      agent.destroy();
    },
  };
}
