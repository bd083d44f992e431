export type { GrpcObserver } from './call.ts';
export type { GrpcSettings } from './options.ts';
export { createGrpcServer } from './server.ts';
export type { GrpcFrontend, GrpcServerOptions } from './server.ts';
export type { GrpcDependencies } from './service.ts';
