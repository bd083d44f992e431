import type { EngineSession } from '../engine/index.ts';
import { createLogger } from '../telemetry/index.ts';
import type { Host } from './host.ts';

/** Loads one model to look at it; the caller disposes of it. Rejects with ServingError, one line, when there is none. */
export async function openModel(path: string, host: Host): Promise<EngineSession> {
  const log = createLogger({ logLevel: 'warn', logFormat: 'auto' }, host.stderr);
  const { detectEngine } = await import('../engine/index.ts');
  const engine = await detectEngine({ path });
  return await engine.load({ path }, { onnxBinding: 'auto', provider: 'cpu', intraOpThreads: 1, interOpThreads: 1 }, log);
}
