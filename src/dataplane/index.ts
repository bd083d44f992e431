export { createDataplane, type DataplaneDependencies, type DataplaneOptions } from './create-dataplane.ts';
export { loggableRequestId } from './request-id.ts';
export type * from './dataplane.ts';
