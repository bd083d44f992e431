/**
 * The command line, from the files that the compiler writes. A complete build puts a module in this place that takes it from one file, and keeps what V8 has
 * compiled of it (scripts/bundle.mjs).
 */
module.exports = {
  importCli: () => import('./cli/index.ts'),
  keepCompiled: () => undefined,
};
