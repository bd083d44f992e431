import { connect, type InferenceClient } from '../client/index.ts';
import { invalidRequest } from '../core/errors.ts';
import type { TensorMetadata } from '../core/metadata.ts';
import type { Tensor } from '../core/tensor.ts';
import type { Answer } from './connection.ts';
import { startLocalServer } from './local-server.ts';
import { measure, readComplaint, type Measurement, type Progress } from './measurement.ts';
import { createTraffic, type Traffic } from './messages.ts';
import type { BenchPlan, Protocol } from './plan.ts';
import { isSameAnswer } from './same-answer.ts';

/** What a run found. `measurements` are those that were begun, in order. */
export interface BenchResult {
  readonly url: string;
  readonly model: string;
  readonly protocol: Protocol;
  /** Bytes of one request on the wire, of the first that was made. */
  readonly requestBytes: number;
  readonly samples: number;
  readonly startedAt: string;
  /** True when it was broken off: the last measurement is shorter, and others may be missing. */
  readonly isInterrupted: boolean;
  /** Requests sent alone before the load. */
  readonly sentAlone: number;
  readonly measurements: readonly Measurement[];
}

export interface BenchDependencies {
  /** Breaks the run off; there is a result all the same. */
  readonly signal: AbortSignal;
  /** Arguments for Node that start this program; for a server of ours. */
  readonly program: readonly string[];
  readonly onProgress: (progress: Progress) => void;
  readonly onMeasured: (measurement: Measurement) => void;
}

/** Longest answer to a question about the model, before the load. */
const QUESTION_TIMEOUT_MS = 10_000;

/**
 * Runs the plan. Rejects with an error whose message is one line for people when there is nothing to measure: nobody answers, no such model, a request that
 * is refused when it comes alone.
 */
export async function runBench(plan: BenchPlan, deps: BenchDependencies): Promise<BenchResult> {
  const { modelDir } = plan.target;
  if (modelDir === undefined) return await load(plan, new URL(plan.target.url ?? ''), plan.result.serverPid, deps);
  const server = await startLocalServer({
    program: deps.program,
    modelDir,
    modelName: plan.target.model ?? 'model',
    args: plan.serverArgs,
    signal: deps.signal,
  });
  try {
    const url = new URL(isGrpc(plan.target.protocol) ? server.grpcUrl : server.httpUrl);
    return await load(plan, url, server.pid, deps);
  } finally {
    await server.stop();
  }
}

async function load(plan: BenchPlan, url: URL, serverPid: number | undefined, deps: BenchDependencies): Promise<BenchResult> {
  const startedAt = new Date().toISOString();
  const { model, inputs } = await describeModel(plan, url);
  const traffic = createTraffic(url, model, plan, inputs);
  try {
    const alone = await answersAlone(traffic, plan);
    const isRight = plan.result.verify ? createCheck(traffic, alone) : undefined;
    const measurements: Measurement[] = [];
    for (const [index, step] of plan.steps.entries()) {
      if (deps.signal.aborted) break;
      const measurement = await measure({
        plan,
        traffic,
        step,
        seed: plan.target.seed + index,
        isRight,
        serverPid,
        signal: deps.signal,
        onProgress: (progress) => {
          deps.onProgress({ ...progress, step: index, steps: plan.steps.length });
        },
      });
      measurements.push(measurement);
      deps.onMeasured(measurement);
    }
    return {
      url: url.href.replace(/\/$/, ''),
      model,
      protocol: plan.target.protocol,
      requestBytes: traffic.messages[0]?.length ?? 0,
      samples: traffic.messages.length,
      startedAt,
      isInterrupted: deps.signal.aborted,
      sentAlone: alone.length,
      measurements,
    };
  } finally {
    traffic.wire.close();
  }
}

function isGrpc(protocol: Protocol): boolean {
  return protocol === 'grpc' || protocol === 'grpc-typed';
}

/** Name and inputs; nothing is asked that the plan says. `http` needs neither, and a request file no inputs. */
async function describeModel(
  { target }: BenchPlan,
  url: URL,
): Promise<{ readonly model: string; readonly inputs: readonly TensorMetadata[] | undefined }> {
  if (target.protocol === 'http') return { model: '', inputs: undefined };
  if (target.request !== undefined && target.model !== undefined) return { model: target.model, inputs: undefined };
  const { host, ...headers } = target.headers;
  const client = connect(clientUrl(url, target.protocol), {
    retries: 0,
    timeoutMs: QUESTION_TIMEOUT_MS,
    headers,
    ...(host === undefined ? {} : { authority: host }),
  });
  try {
    const model = target.model ?? (await onlyModel(client, url));
    if (target.request !== undefined) return { model, inputs: undefined };
    const { inputs } = await client.modelMetadata(model, target.version);
    if (inputs.length > 0) return { model, inputs };
    throw invalidRequest(`Cannot make requests for model "${model}": its metadata names no inputs, give a --request`);
  } finally {
    client.close();
  }
}

function clientUrl(url: URL, protocol: Protocol): string {
  if (!isGrpc(protocol) || url.protocol.startsWith('grpc')) return url.href;
  return `${url.protocol === 'https:' ? 'grpcs' : 'grpc'}://${url.host}`;
}

async function onlyModel(client: InferenceClient, url: URL): Promise<string> {
  const models = await client.models();
  const [only] = models;
  if (only !== undefined && models.length === 1) return only;
  throw invalidRequest(`Cannot choose a model of ${url.href}: give --model, there are ${models.length === 0 ? 'none' : models.join(', ')}`);
}

/** Each message once, one after the other: what is refused alone is not worth a load, and what is right then is right later. */
async function answersAlone({ wire, messages }: Traffic, { load: { timeoutMs }, result }: BenchPlan): Promise<readonly Answer[]> {
  const lane = wire.openLane(true);
  try {
    const answers: Answer[] = [];
    for (const message of result.verify ? messages : messages.slice(0, 1)) {
      const answer = await new Promise<Answer>((resolve) => {
        const timer = setTimeout(() => {
          lane.abort(`no answer within ${timeoutMs} ms`);
        }, timeoutMs);
        lane.send(message, (got) => {
          clearTimeout(timer);
          resolve(got);
        });
      });
      if (answer.failure !== undefined) throw invalidRequest(`Cannot load the server: a request alone fails with ${readComplaint(answer)}`);
      answers.push(answer);
    }
    return answers;
  } finally {
    lane.close();
  }
}

/** Compares the tensors of answers, and the bytes of those that hold none. What cannot be read is wrong. */
function createCheck({ readTensors }: Traffic, alone: readonly Answer[]): (answer: Answer, message: number) => boolean {
  const expected = alone.map((answer): readonly Tensor[] | undefined => readTensors(answer));
  return (answer, message) => {
    const bytes = alone[message]?.body;
    if (answer.body === undefined || bytes === undefined) return false;
    if (answer.body.equals(bytes)) return true;
    const tensors = expected[message];
    if (tensors === undefined) return false;
    try {
      const got = readTensors(answer);
      return got !== undefined && isSameAnswer(got, tensors);
    } catch {
      return false;
    }
  };
}
