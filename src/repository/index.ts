export { createRepository } from './create-repository.ts';
export type { CreateExecutor, ExecutorPurpose } from './executor-pool.ts';
export { readLayout, type Layout, type LayoutReader } from './layout.ts';
export type * from './repository.ts';
export type { RepositoryDependencies, RepositoryObserver, RepositoryOptions } from './wiring.ts';
