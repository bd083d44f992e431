import { decodeInferRequest, type DecodeInferOptions } from '../../../src/codec/index.ts';
import type { InferRequest } from '../../../src/core/infer.ts';
import { runSteps } from '../../../src/core/steps.ts';

export const OPTIONS: DecodeInferOptions = { modelName: 'm', maxDepth: 32 };

export function decode(body: unknown, options: Partial<DecodeInferOptions> = {}): InferRequest {
  const bytes = body instanceof Uint8Array ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  return runSteps(decodeInferRequest(bytes, { ...OPTIONS, ...options }));
}

/** A request with one input whose data is JSON text, so that it may be anything. */
export function oneInput(datatype: string, shape: number[], data: string): string {
  return `{"inputs":[{"name":"x","datatype":"${datatype}","shape":${JSON.stringify(shape)},"data":${data}}]}`;
}
