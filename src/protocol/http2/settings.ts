import {
  encodeHttp2Numbers,
  encodeHttp2Settings,
  ErrorCode,
  FrameType,
  Http2Error,
  HTTP2_FRAME_BYTES,
  HTTP2_MAX,
  HTTP2_MOST_FRAME_BYTES,
  HTTP2_WINDOW_BYTES,
  readUint32,
  Setting,
} from '../../codec/index.ts';
import type { Outbox } from './outbox.ts';
import type { ServerStream } from './stream.ts';

/** Calls that one connection may have under way at once; more wait at the client. */
export const MAX_STREAMS = 1024;

/** What one stream, and all streams of a connection together, may send before we have read it: large messages come in few round trips. */
export const STREAM_WINDOW_BYTES = 1 << 20;
export const CONNECTION_WINDOW_BYTES = 1 << 22;

const SETTING_BYTES = 6;

/** The server's first words. */
export function greeting(maxHeaderBytes: number): Buffer {
  return Buffer.concat([
    encodeHttp2Settings([
      [Setting.maxConcurrentStreams, MAX_STREAMS],
      [Setting.initialWindowSize, STREAM_WINDOW_BYTES],
      [Setting.maxHeaderListSize, maxHeaderBytes],
    ]),
    encodeHttp2Numbers(FrameType.windowUpdate, 0, CONNECTION_WINDOW_BYTES - HTTP2_WINDOW_BYTES),
  ]);
}

/** Throws Http2Error for values that cannot be (RFC 9113 section 6.5.2). */
export function applySettings(payload: Buffer, outbox: Outbox, open: Iterable<ServerStream>): void {
  for (let at = 0; at < payload.length; at += SETTING_BYTES) {
    const id = ((payload[at] ?? 0) << 8) | (payload[at + 1] ?? 0);
    const value = readUint32(payload, at + 2);
    if (id === Setting.enablePush && value > 1) throw refused('ENABLE_PUSH', value);
    if (id === Setting.headerTableSize) outbox.setTable(value);
    else if (id === Setting.maxFrameSize) {
      if (value < HTTP2_FRAME_BYTES || value > HTTP2_MOST_FRAME_BYTES) throw refused('MAX_FRAME_SIZE', value);
      outbox.setMaxFrame(value);
    } else if (id === Setting.initialWindowSize && (value > HTTP2_MAX || !outbox.setStreamWindow(value, open))) {
      throw refused('INITIAL_WINDOW_SIZE', value, ErrorCode.flowControlError);
    }
  }
}

function refused(name: string, value: number, code?: number): Http2Error {
  return new Http2Error(`SETTINGS_${name} cannot be ${value}`, code);
}
