/** Whether a stream is a gRPC call with protobuf messages: not gRPC-Web, and not gRPC's other codings. */
export function isGrpc(contentType: string | undefined): boolean {
  if (contentType === 'application/grpc' || contentType === 'application/grpc+proto') return true;
  return contentType !== undefined && /^application\/grpc(\+proto)?\s*(;|$)/i.test(contentType);
}
