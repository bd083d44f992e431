/** Milliseconds. */
export interface LivenessTiming {
  /** How often a connection with calls is looked at. */
  readonly watchMs: number;
  /** Silence after which it is asked for a sign of life. */
  readonly pingAfterMs: number;
  /** How long that sign may take. */
  readonly pongMs: number;
}

/** While nothing but such signs come, the pauses between questions grow: gRPC's own servers end connections that ask more often than every five minutes, a few times excepted. */
const PAUSE_GROWTH = 4;
const LONGEST_PAUSE_MS = 320_000;

/**
 * Finds out peers that vanished without closing their connection, which the system would notice after a quarter of an hour. One coarse timer for all calls;
 * connections without calls are the system's own business (SO_KEEPALIVE).
 */
export class Http2Liveness {
  readonly #timing: LivenessTiming;
  readonly #isWaiting: () => boolean;
  readonly #ping: () => void;
  readonly #dead: (silentMs: number) => void;
  readonly #timer: NodeJS.Timeout;
  #isHeard = false;
  #silentMs = 0;
  #pauseMs: number;
  #pingedAtMs: number | undefined;

  constructor(timing: LivenessTiming, isWaiting: () => boolean, ping: () => void, dead: (silentMs: number) => void) {
    this.#timing = timing;
    this.#isWaiting = isWaiting;
    this.#ping = ping;
    this.#dead = dead;
    this.#pauseMs = timing.pingAfterMs;
    this.#timer = setInterval(() => {
      this.#watch();
    }, timing.watchMs).unref();
  }

  /** Bytes came, or the first call after a rest begins. */
  heard(): void {
    this.#isHeard = true;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #watch(): void {
    if (this.#isHeard || !this.#isWaiting()) {
      const isOnlyPong = this.#isHeard && this.#pingedAtMs !== undefined;
      this.#pauseMs = isOnlyPong ? Math.min(this.#pauseMs * PAUSE_GROWTH, LONGEST_PAUSE_MS) : this.#timing.pingAfterMs;
      this.#isHeard = false;
      this.#silentMs = 0;
      this.#pingedAtMs = undefined;
      return;
    }
    this.#silentMs += this.#timing.watchMs;
    if (this.#pingedAtMs !== undefined) {
      if (this.#silentMs - this.#pingedAtMs >= this.#timing.pongMs) this.#dead(this.#silentMs);
    } else if (this.#silentMs >= this.#pauseMs) {
      this.#pingedAtMs = this.#silentMs;
      this.#ping();
    }
  }
}
