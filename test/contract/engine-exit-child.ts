import { SILENT_LOGGER } from '../../src/core/context.ts';
import { allocateData } from '../../src/core/tensor.ts';
import { engineByName } from '../../src/engine/index.ts';

/** A program that leaves while its model still computes for many minutes; engine-exit.test.ts runs it. */
const [path = ''] = process.argv.slice(2);
const engine = await engineByName('onnx');
const session = await engine.load({ path }, { onnxBinding: 'native', provider: 'cpu', intraOpThreads: 1, interOpThreads: 1 }, SILENT_LOGGER);
const iterations = allocateData('INT64', 1);
iterations[0] = 1_000_000_000n;
void session.run(
  [
    { name: 'x', datatype: 'FP32', shape: [1, 8], data: allocateData('FP32', 8) },
    { name: 'iterations', datatype: 'INT64', shape: [], data: iterations },
  ],
  [],
);
setTimeout(() => process.exit(3), 100);
