import { readFileSync } from 'node:fs';
import { InferenceError, type CallOptions, type ConnectOptions, type Inference } from '../../client/index.ts';
import type { Logger } from '../../core/context.ts';
import { ServingError } from '../../core/errors.ts';
import type { InferRequest, InferResponse } from '../../core/infer.ts';
import { answeredHeaders, forwardedHeaders } from './hop-headers.ts';
import type { Hop, PredictorOptions, RemotePredictor } from './predictor.ts';
import { connectPredictor, type PredictorClient } from './predictor-client.ts';
import { toRemoteError } from './remote-error.ts';

const DEFAULT_MAX_RESPONSE_BYTES = 2 ** 30;

/** Connections to a predictor over REST. How many requests there are at once is the scheduler's business, and this is beyond it. */
const MAX_CONNECTIONS = 512;

/** How long the questions about metadata and readiness wait. */
const QUESTION_TIMEOUT_MS = 2000;

/** Throws model_failed for options that cannot work, naming the option. */
export function createRemotePredictor(options: PredictorOptions, modelName: string, log: Logger): RemotePredictor {
  const { host, protocol, requestTimeoutMs } = options;
  const maxResponseBytes = options.maxResponseBytes ?? DEFAULT_MAX_RESPONSE_BYTES;
  const client = open(options, maxResponseBytes);

  return {
    async metadata(signal) {
      if (protocol === 'v1') return undefined;
      try {
        const found = await client.modelMetadata(modelName, undefined, questionOptions(signal));
        return { inputs: found.inputs, outputs: found.outputs, platform: found.platform };
      } catch (thrown) {
        log.debug({ predictor: host, err: thrown }, 'the predictor did not tell its metadata');
        return undefined;
      }
    },
    async infer(request, hop) {
      const timeoutMs = Math.min(hop.deadline - performance.now(), requestTimeoutMs);
      throwIfGone(hop);
      if (timeoutMs <= 0) throw new ServingError('deadline_exceeded', `Cannot ask predictor ${host}: no time left`);
      try {
        return answerOf(await client.infer(modelName, toInference(request), { timeoutMs, signal: hop.signal, headers: forwardedHeaders(hop) }));
      } catch (thrown) {
        throwIfGone(hop);
        if (thrown instanceof InferenceError) throw toRemoteError(thrown, { host, modelName, maxResponseBytes, timeoutMs });
        throw thrown;
      }
    },
    async isReady() {
      try {
        return await client.isModelReady(modelName, undefined, questionOptions());
      } catch (thrown) {
        log.debug({ predictor: host, err: thrown }, 'the predictor did not tell whether it is ready');
        return false;
      }
    },
    close: () => {
      client.close();
    },
  };
}

/** Whatever ended the call, a client that has left comes first. */
function throwIfGone({ signal }: Hop): void {
  if (signal.aborted) throw new ServingError('cancelled', 'Request cancelled by the client', { cause: signal.reason });
}

function open(options: PredictorOptions, maxResponseBytes: number): PredictorClient {
  const { host, protocol, useSsl, retries, caFile } = options;
  const scheme = protocol === 'grpc-v2' ? 'grpc' : 'http';
  const ca = useSsl && caFile !== undefined ? readCertificates(caFile) : undefined;
  try {
    const connectOptions: ConnectOptions = {
      protocol: protocol === 'v1' ? 'v1' : 'v2',
      retries,
      // An overloaded predictor is told to the client, who knows better how long it can wait.
      retryOn: (error) => error.retryable && error.reason === 'unavailable',
      maxResponseBytes,
      maxConnections: MAX_CONNECTIONS,
      ...(ca === undefined ? {} : { tls: { ca } }),
    };
    return connectPredictor(`${scheme}${useSsl ? 's' : ''}://${host}`, connectOptions, protocol === 'v2');
  } catch (thrown) {
    throw new ServingError('model_failed', `Cannot use --predictor_host ${host}: ${thrown instanceof Error ? thrown.message : String(thrown)}`, {
      cause: thrown,
    });
  }
}

/** Once, at the start; a directory of certificates, which Python's requests would take, is refused with the system's own words. */
function readCertificates(file: string): Uint8Array {
  try {
    return readFileSync(file);
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    throw new ServingError('model_failed', `Cannot read --predictor_ca_file (or REQUESTS_CA_BUNDLE) ${file}: ${reason}`, { cause: thrown });
  }
}

function questionOptions(signal?: AbortSignal): CallOptions {
  return { timeoutMs: QUESTION_TIMEOUT_MS, ...(signal === undefined ? {} : { signal }) };
}

/** The version is the transformer's own business: KServe's predictors serve one. */
function toInference({ inputs, body, id, parameters, outputs }: InferRequest): Inference {
  return {
    inputs: body === undefined ? inputs : [],
    ...(body === undefined ? {} : { body }),
    ...(id === undefined ? {} : { id }),
    ...(parameters === undefined ? {} : { parameters }),
    ...(outputs === undefined ? {} : { outputs }),
  };
}

function answerOf(response: InferResponse): InferResponse {
  const { modelName, modelVersion, id, parameters, outputs, body, headers } = response;
  return {
    modelName,
    outputs,
    ...(modelVersion === undefined ? {} : { modelVersion }),
    ...(id === undefined ? {} : { id }),
    ...(parameters === undefined ? {} : { parameters }),
    ...(body === undefined ? {} : { body }),
    ...(headers === undefined ? {} : { headers: answeredHeaders(headers) }),
  };
}
