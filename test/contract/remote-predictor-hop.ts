import { afterEach } from 'vitest';
import { SILENT_LOGGER } from '../../src/core/context.ts';
import type { ServingError } from '../../src/core/errors.ts';
import type { InferRequest, InferResponse } from '../../src/core/infer.ts';
import { StopSource } from '../../src/core/stop-signal.ts';
import type { Tensor } from '../../src/core/tensor.ts';
import { createRemotePredictor, type Hop, type PredictorOptions, type RemotePredictor } from '../../src/engine/index.ts';
import { startFakePredictor, type Behaviour, type FakePredictor } from '../support/fake-predictor.ts';

export type Protocol = PredictorOptions['protocol'];
export const PROTOCOLS: readonly Protocol[] = ['v1', 'v2', 'grpc-v2'];

export const closing: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

export async function open(host: string, protocol: Protocol, options: Partial<PredictorOptions> = {}, modelName = 'm'): Promise<RemotePredictor> {
  const all = { host, protocol, useSsl: false, requestTimeoutMs: 10_000, retries: 0, ...options };
  const remote = await createRemotePredictor(all, modelName, SILENT_LOGGER);
  closing.push(() => {
    remote.close();
  });
  return remote;
}

export async function fake(behave: Behaviour, tls?: { readonly key: string; readonly cert: string }): Promise<FakePredictor> {
  const server = await startFakePredictor(behave, tls);
  closing.push(() => server.close());
  return server;
}

export function hop(more: Partial<Hop> = {}): Hop {
  return { id: 'r-1', headers: {}, deadline: Infinity, signal: new StopSource(), ...more };
}

export function requestOf(...inputs: Tensor[]): InferRequest {
  return { modelName: 'm', inputs };
}

export const ONE = requestOf({ name: 'x', datatype: 'FP32', shape: [1, 1], data: Float32Array.of(1) });

export async function failureOf(promise: Promise<unknown>): Promise<ServingError> {
  return promise.then(
    () => {
      throw new Error('expected a failure');
    },
    (thrown: unknown) => thrown as ServingError,
  );
}

export function outputOf(response: InferResponse, name: string): Tensor {
  return response.outputs.find((output) => output.name === name)!;
}
