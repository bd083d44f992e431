import type { Logger } from '../core/context.ts';
import { toJsonSafe } from './batch-codec.ts';
import type { Channel } from './channel.ts';
import { asRecord, malformed } from './tensor-codec.ts';

type Level = 'debug' | 'info' | 'warn' | 'error';

/** Log records wait no longer than this behind unread replies; then they are dropped. */
const MAX_BACKLOG_BYTES = 1 << 20;
const MAX_MESSAGE_CHARS = 8192;

/** A logger for the child: records travel to the parent's log. */
export function createFrameLogger(channel: Channel, bound: object = {}): Logger {
  const write =
    (level: Level) =>
    (fields: object, message: string): void => {
      if (channel.backlogBytes > MAX_BACKLOG_BYTES) return;
      channel.send('log', 0, 0, { level, fields: toJsonSafe({ ...bound, ...fields }), message: message.slice(0, MAX_MESSAGE_CHARS) });
    };
  return {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: (fields) => createFrameLogger(channel, { ...bound, ...fields }),
  };
}

/** Throws ServingError internal when the metadata is no log record. */
export function writeChildLog(log: Logger, metadata: unknown): void {
  const { level, fields, message } = asRecord(metadata, 'log record');
  if (typeof message !== 'string') throw malformed('log record');
  const record = asRecord(fields, 'log record');
  switch (level) {
    case 'debug':
    case 'info':
    case 'warn':
    case 'error':
      log[level](record, message);
      return;
    default:
      throw malformed('log record');
  }
}
