export type { Http2Connection, OpenCall, StreamHandler } from './connection.ts';
export { Http2Connections, type Http2Options } from './connections.ts';
export { encodeHeaders, type ResponseHeaders } from './header-block.ts';
export type { RequestHeaders } from './request-head.ts';
export type { ServerStream, StreamListener } from './stream.ts';
