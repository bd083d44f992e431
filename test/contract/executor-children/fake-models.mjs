// A child of the process executor whose models are a few lines each, named by what they do.
import { writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { readBuildId } from '../../../dist/executor/build-id.js';
import { hostPipelines } from '../../../dist/executor/child-host.js';

for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => undefined);

const never = () => new Promise(() => undefined);
const answer = (batch, settle) => ({
  responses: batch.members.map(settle),
  timings: { preprocessMs: 0, predictMs: 0, postprocessMs: 0 },
});
const echo = ({ request }) => ({ ok: true, value: { modelName: request.modelName, modelVersion: '1', id: request.id, outputs: request.inputs } });
const untilAborted = (signal) => new Promise((resolve) => signal.addEventListener('abort', () => resolve()));
const refusal = (reason, message) => ({ ok: false, error: { reason, message } });

const LOADS = {
  'hangs-on-load': never,
  'exits-on-load': () => process.exit(3),
  'is-killed-on-load': () => process.kill(process.pid, 'SIGKILL'),
};

const RUNS = {
  echo: async (batch) => answer(batch, echo),
  // Each member runs until it is cancelled.
  waits: async (batch) => {
    await Promise.all(batch.members.map(({ signal }) => untilAborted(signal)));
    return answer(batch, () => refusal('cancelled', 'Cancelled while running'));
  },
  'ignores-cancel': never,
  // As a binding that blocks the event loop, without burning a core.
  blocks: async () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0),
  'exits-on-run': async () => {
    process.stderr.write('out of luck\n');
    process.exit(7);
  },
  'throws-elsewhere': () => {
    queueMicrotask(() => {
      throw new Error('thrown by a timer of the model');
    });
    return never();
  },
  'writes-garbage': () => {
    writeSync(3, Buffer.alloc(64, 0xff));
    return never();
  },
  'answers-too-few': async () => ({ responses: [], timings: { preprocessMs: 0, predictMs: 0, postprocessMs: 0 } }),
};

async function loadPipeline(spec, { log }) {
  const behaviour = spec.modelName;
  await LOADS[behaviour]?.();
  log.info({ model: behaviour }, 'Loaded');
  console.log(`stdout of ${behaviour}`);
  return {
    signature: { inputs: [], outputs: [] },
    capabilities: { accepts: [], explains: false },
    isRetryable: false,
    platform: 'fake_fakev1',
    properties: { pid: String(process.pid), environment: Object.keys(process.env).sort().join(' ') },
    isConcurrent: behaviour !== 'blocks',
    run: RUNS[behaviour] ?? RUNS.echo,
    dispose: async () => undefined,
  };
}

hostPipelines(new Socket({ fd: 3, readable: true, writable: true }), {
  buildId: readBuildId(fileURLToPath(import.meta.url)),
  loadPipeline,
  exit(code, lastWords) {
    if (lastWords !== undefined) process.stderr.write(`${lastWords}\n`);
    process.exit(code);
  },
});
