export { gatherLines } from './gather-lines.ts';
export { createLatencyLog, type LatencyLog } from './latency-log.ts';
export * from './logger.ts';
export * from './metrics.ts';
