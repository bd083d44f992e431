export type { GrpcSettings } from './options.ts';
export { createGrpcServer } from './server.ts';
export type { GrpcDependencies, GrpcFrontend, GrpcServerOptions } from './server.ts';
export type { GrpcObserver } from './unary.ts';
