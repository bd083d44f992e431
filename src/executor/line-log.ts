import type { Readable } from 'node:stream';
import type { Logger } from '../core/context.ts';

const MAX_LINE_CHARS = 4096;
const MAX_LINES_PER_WINDOW = 200;
const WINDOW_MS = 1000;

/** What a child prints, line by line into the log: long lines are cut, and beyond 200 lines a second only counted. */
export class LineLog {
  readonly #log: Logger;
  readonly #stream: 'stdout' | 'stderr';
  #partial = '';
  /** The rest of a line that was cut is dropped up to its end. */
  #isCut = false;
  #windowStart = -Infinity;
  #windowLines = 0;
  #dropped = 0;
  #last: string | undefined;

  constructor(source: Readable, stream: 'stdout' | 'stderr', log: Logger) {
    this.#log = log;
    this.#stream = stream;
    source.setEncoding('utf8');
    source.on('data', (text: string) => {
      this.#take(text);
    });
    // A broken pipe is the child's end, which its exit reports.
    source.on('error', () => undefined);
    source.once('close', () => {
      this.#finish();
    });
  }

  /** The newest line that is not empty, or the first that tells of V8's end: its native stack, which follows, tells nothing. */
  get last(): string | undefined {
    return this.#last;
  }

  #take(text: string): void {
    let start = 0;
    for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', start)) {
      this.#append(text.slice(start, end));
      if (!this.#isCut) this.#emit();
      this.#partial = '';
      this.#isCut = false;
      start = end + 1;
    }
    this.#append(text.slice(start));
  }

  #append(text: string): void {
    if (this.#isCut) return;
    this.#partial += text;
    if (this.#partial.length <= MAX_LINE_CHARS) return;
    this.#partial = `${this.#partial.slice(0, MAX_LINE_CHARS)}…`;
    this.#emit();
    this.#isCut = true;
  }

  #finish(): void {
    if (!this.#isCut) this.#emit();
    this.#partial = '';
    this.#reportDropped();
  }

  #emit(): void {
    const line = this.#partial.trimEnd();
    if (line === '') return;
    if (this.#last?.startsWith('FATAL ERROR:') !== true) this.#last = line;
    const now = performance.now();
    if (now - this.#windowStart >= WINDOW_MS) {
      this.#windowStart = now;
      this.#windowLines = 0;
      this.#reportDropped();
    }
    this.#windowLines++;
    if (this.#windowLines > MAX_LINES_PER_WINDOW) this.#dropped++;
    else this.#log.info({ stream: this.#stream }, line);
  }

  #reportDropped(): void {
    if (this.#dropped === 0) return;
    this.#log.warn({ stream: this.#stream, lines: this.#dropped }, `Dropped ${this.#dropped} lines of a model process that prints too much`);
    this.#dropped = 0;
  }
}
