import type { PredictorSettings } from './options.ts';
import type { PredictorOptions } from './predictor.ts';

/** Undefined without a host: then models run here. */
export function toPredictorOptions(settings: PredictorSettings): PredictorOptions | undefined {
  const { host, protocol, useSsl, requestTimeoutMs, retries, caFile, maxResponseBytes } = settings;
  if (host === undefined) return undefined;
  return { host, protocol, useSsl, requestTimeoutMs, retries, maxResponseBytes, ...(caFile === undefined ? {} : { caFile }) };
}
