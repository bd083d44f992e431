export type { V2Dependencies } from './dependencies.ts';
export { createV2Routes } from './routes.ts';
export { V2_SCHEMAS } from './schemas.ts';
