export { createRepository, type RepositoryDependencies, type RepositoryOptions } from './create-repository.ts';
export type { CreateExecutor, ExecutorPurpose } from './executor-pool.ts';
export type * from './repository.ts';
