/** The load generator of the product looks at processes in the same way. */
export { cpuMs, rssMiB, treeOf } from '../../src/bench/index.ts';
