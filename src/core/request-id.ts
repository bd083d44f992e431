/** Longest id that stands in logs. */
const MAX_LENGTH = 128;

/** Printable ASCII without spaces: what HTTP takes in a header, and a log reader on one line. */
const PRINTABLE = /^[\x21-\x7e]+$/;

/**
 * The client's id of a request when it is fit for logs: ids come from clients and may hold megabytes, or line breaks. The answer echoes any id, this or not.
 */
export function loggableRequestId(id: string | undefined): string | undefined {
  return id !== undefined && id.length <= MAX_LENGTH && PRINTABLE.test(id) ? id : undefined;
}
