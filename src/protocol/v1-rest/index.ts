export { createV1Routes, type V1Dependencies } from './routes.ts';
export { V1_SCHEMAS } from './schemas.ts';
