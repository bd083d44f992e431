export { gatherLines } from './gather-lines.ts';
export { createLatencyLog, type LatencyLog } from './latency-log.ts';
export * from './logger.ts';
export * from './metrics.ts';
export { Startup, STARTUP_PHASES, type StartupPhase } from './startup.ts';
export { createStartLogger, type StartLogger } from './start-logger.ts';
