export { createRepository, type RepositoryDependencies, type RepositoryObserver, type RepositoryOptions } from './create-repository.ts';
export type { CreateExecutor, ExecutorPurpose } from './executor-pool.ts';
export { readLayout, type Layout, type LayoutReader } from './layout.ts';
export type * from './repository.ts';
