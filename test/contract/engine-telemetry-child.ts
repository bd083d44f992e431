import { SILENT_LOGGER } from '../../src/core/context.ts';
import { engineByName } from '../../src/engine/index.ts';

/** A program that loads a model and frees it; engine-telemetry.test.ts runs it. */
const [path = '', binding] = process.argv.slice(2);
if (binding !== 'native' && binding !== 'node') throw new Error(`unknown binding ${String(binding)}`);
const engine = await engineByName('onnx');
const session = await engine.load({ path }, { onnxBinding: binding, provider: 'cpu', intraOpThreads: 1, interOpThreads: 1 }, SILENT_LOGGER);
process.stdout.write(`loaded with ${session.properties['binding'] ?? 'nothing'}\n`);
await session.dispose();
