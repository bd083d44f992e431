export type * from './dataplane.ts';
