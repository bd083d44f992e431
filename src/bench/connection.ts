/** One answer: what the protocol says about it, and its bytes where somebody wants to read them. */
export interface Answer {
  /** Undefined for a right one; else what it is counted under, such as `HTTP 503` or `timeout`. */
  readonly failure: string | undefined;
  /** Of the body or message, as far as it came. */
  readonly bytes: number;
  /** Whole when the lane keeps bodies, its beginning when the request failed; else undefined. */
  readonly body?: Buffer | undefined;
  /** Of JSON before raw tensors. */
  readonly headerLength?: number | undefined;
}

/** Carries one request at a time. */
export interface Lane {
  /** Sends one prepared message; `done` is called once, never before this returns. */
  send(message: Buffer, done: (answer: Answer) => void): void;
  /** Ends what is under way: `done` hears of it as `failure`. */
  abort(failure: string): void;
  close(): void;
}

/** Where lanes lead, and how. */
export interface Wire {
  /** `keepsBodies`: answers are to be read. Nothing is connected before the first request. */
  openLane(keepsBodies: boolean): Lane;
  close(): void;
}

/** Longest beginning of a failed answer that is kept to be shown. */
export const MAX_COMPLAINT_BYTES = 2000;

/** What a socket's error is counted under. */
export function nameFailure(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : undefined;
  switch (code) {
    case 'ECONNREFUSED':
      return 'connection refused';
    case 'ECONNRESET':
    case 'EPIPE':
      return 'connection lost';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'host not found';
    default:
      return code ?? (error instanceof Error ? error.message : String(error));
  }
}
