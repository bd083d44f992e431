import type { LogDestination } from './logger.ts';

/** Lines of one turn of the event loop are written together, at most this many characters at once. */
const MAX_GATHERED = 64 * 1024;

/** Under load, with lines in turn after turn, writes are this far apart. */
const PAUSE_MS = 10;

/** How the records begin that can wait for the end of the turn; warnings and errors are written at once, and what was gathered before them. */
const PATIENT = /^\{"level":"(?:info|debug)"/;

/**
 * A destination that spares system calls: with one record per answer, writing each on its own costs as much as decoding the request. Nothing is lost when the
 * process exits; `onExit` registers what has to run then.
 */
export function gatherLines(destination: LogDestination, onExit: (flush: () => void) => void): LogDestination {
  let gathered = '';
  let isScheduled = false;
  let flushedAt = -Infinity;
  const flush = (): void => {
    isScheduled = false;
    flushedAt = performance.now();
    if (gathered === '') return;
    const text = gathered;
    gathered = '';
    destination.write(text);
  };
  onExit(flush);
  return {
    isTTY: destination.isTTY,
    write: (text) => {
      gathered += text;
      if (!PATIENT.test(text) || gathered.length > MAX_GATHERED) flush();
      else if (!isScheduled) {
        isScheduled = true;
        if (performance.now() - flushedAt < PAUSE_MS) setTimeout(flush, PAUSE_MS).unref();
        else setImmediate(flush);
      }
    },
  };
}
