export { acceptsBody, mediaTypeOf } from './accepted-body.ts';
export { createDataplane, type DataplaneDependencies, type DataplaneOptions } from './create-dataplane.ts';
export type * from './dataplane.ts';
