export { createDataplane, type DataplaneDependencies, type DataplaneOptions } from './create-dataplane.ts';
export type * from './dataplane.ts';
