/**
 * gRPC's length-prefixed message (protocol HTTP2, "Length-Prefixed-Message"), which DATA frames carry cut anywhere:
 *
 *   0         1                   5                      5 + length
 *   | flag    | length, 32 bit BE | message              |
 *
 * The flag is 0, or 1 for a message compressed as `grpc-encoding` says.
 */
export const FRAME_HEADER_BYTES = 5;

/** Writes the header of a message that is not compressed to `target[at … at + 5]`. */
export function writeFrameHeader(target: Uint8Array, messageBytes: number, at = 0): void {
  target[at] = 0;
  target[at + 1] = messageBytes >>> 24;
  target[at + 2] = messageBytes >>> 16;
  target[at + 3] = messageBytes >>> 8;
  target[at + 4] = messageBytes;
}

/** 0 or 1 when the peer keeps to the protocol. */
export function frameFlag(bytes: Uint8Array, at = 0): number {
  return bytes[at] ?? 0;
}

/** Bytes of the message behind the header at `at`. */
export function frameLength(bytes: Uint8Array, at = 0): number {
  return (((bytes[at + 1] ?? 0) << 24) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 8) | (bytes[at + 4] ?? 0)) >>> 0;
}
