/** A model process, from the files that the compiler writes. A complete build puts a module in this place as in that of cli-module.cts. */
module.exports = {
  importChild: () => import('./executor/child.ts'),
  keepCompiled: () => undefined,
};
