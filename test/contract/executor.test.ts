import { SILENT_LOGGER } from '../../src/core/context.ts';
import { createInlineExecutor, createProcessExecutor } from '../../src/executor/index.ts';
import { describeExecutor } from './describe-executor.ts';
import { CHILD_ENTRY } from './executor-children/entries.ts';

const log = SILENT_LOGGER;

for (const onnxBinding of ['native', 'node'] as const) {
  describeExecutor({
    name: `inline, binding ${onnxBinding}`,
    isolation: 'inline',
    onnxBinding,
    create: () => createInlineExecutor({ log }),
    canStopRuns: onnxBinding === 'native',
  });
  describeExecutor({
    name: `process, binding ${onnxBinding}`,
    isolation: 'process',
    onnxBinding,
    create: () => createProcessExecutor({ childEntry: CHILD_ENTRY, stopTimeoutMs: 300, env: process.env }, { log }),
    canStopRuns: true,
  });
}
