// Loads a fake model in a child, prints the child's process id and waits to be killed.
import { createProcessExecutor } from '../../../dist/executor/index.js';

const log = { debug() {}, info() {}, warn() {}, error() {}, child: () => log };
const executor = createProcessExecutor({ childEntry: new URL('fake-models.mjs', import.meta.url), stopTimeoutMs: 1000, env: process.env }, { log });
const spec = { modelName: 'echo', modelVersion: '1', source: { path: '/' }, engineOptions: {} };
const model = await executor.load(spec, 1, new AbortController().signal);
console.log(model.properties.pid);
