/** A run that took less on a pool thread, hand-over and waiting included, may be tried on the event loop. */
const TRY_BELOW_MS = 1;
const TRY_AFTER = 3;

/** What handing a run to a pool thread and back costs the event loop: a run up to about that long is cheaper where it is. */
const SHORT_MS = 0.05;
/** One run may be long because the machine was busy elsewhere; this many in a row are the model's own. */
const MOST_LONG = 4;
/** Runs on the pool before the loop is tried again. */
const PAUSE = 1000;

/** Decides by measuring whether runs of one cost go to a pool thread, or cost less on the event loop than the hand-over would. */
export class RunPlace {
  #tries = TRY_AFTER;
  #long = 0;

  get isOnLoop(): boolean {
    return this.#tries === 0;
  }

  /** How long a run took where `isOnLoop` said. */
  took(ms: number): void {
    if (this.#tries > 0) {
      if (ms < TRY_BELOW_MS) this.#tries--;
    } else if (ms < SHORT_MS) this.#long = 0;
    else if (++this.#long === MOST_LONG) {
      this.#long = 0;
      this.#tries = PAUSE;
    }
  }
}
