export type { Http2Connection, OpenCall } from './connection.ts';
export { Http2Connections, type Http2Options, type StreamHandler } from './connections.ts';
