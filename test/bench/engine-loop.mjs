// The engine without a server: one caller, one row after the other, for as long as it is told; prints its figures as JSON. The model has one FP32 input.
//     node engine-loop.mjs MODEL.onnx THREADS SECONDS DIM,DIM,…
import { InferenceSession, Tensor } from 'onnxruntime-node';

const WARM_UP_RUNS = 3;

const [modelPath, threads, seconds, dimensions] = process.argv.slice(2);
const session = await InferenceSession.create(modelPath, { intraOpNumThreads: Number(threads), interOpNumThreads: 1 });
const shape = [1, ...dimensions.split(',').map(Number)];
const row = new Float32Array(shape.reduce((count, dimension) => count * dimension)).fill(0.5);
const feeds = { [session.inputNames[0]]: new Tensor('float32', row, shape) };
for (let run = 0; run < WARM_UP_RUNS; run++) await session.run(feeds);

const latencies = [];
const before = process.cpuUsage();
const start = performance.now();
for (let now = start; now - start < Number(seconds) * 1000;) {
  await session.run(feeds);
  const end = performance.now();
  latencies.push(end - now);
  now = end;
}
const elapsed = performance.now() - start;
const { user, system } = process.cpuUsage(before);
latencies.sort((a, b) => a - b);
const at = (share) => latencies[Math.max(0, Math.ceil(share * latencies.length) - 1)];
console.log(
  JSON.stringify({
    rowsPerSecond: (latencies.length * 1000) / elapsed,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    cpuMsPerRow: (user + system) / 1000 / latencies.length,
  }),
);
