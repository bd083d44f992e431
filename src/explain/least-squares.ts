import type { Steps } from '../core/steps.ts';

/** A pivot this much smaller than the largest diagonal element says that the equations do not determine the values. */
const SMALLEST_PIVOT = 1e-12;

/**
 * Weighted least squares for Shapley values: the values phi that make sum over members of phi come closest to v(set) - v(nobody), among those that add up to
 * v(everybody) - v(nobody). Keeps the normal equations only: memory is players x (players + outputs), however many sets are added.
 */
export class ShapleyRegression {
  readonly #players: number;
  readonly #outputs: number;
  /** Lower triangle, row by row; `solve` turns it into its Cholesky factor. */
  readonly #matrix: Float64Array;
  /** One row a player: a column for each output, and one for the constraint. */
  readonly #right: Float64Array;

  constructor(players: number, outputs: number) {
    this.#players = players;
    this.#outputs = outputs;
    this.#matrix = new Float64Array(players * players);
    this.#right = new Float64Array(players * (outputs + 1));
    for (let player = 0; player < players; player++) this.#right[player * (outputs + 1) + outputs] = 1;
  }

  /** `members` ascend; `gains` holds v(set) - v(nobody) of each output. */
  add(members: Uint32Array, weight: number, gains: Float64Array): void {
    const players = this.#players;
    const outputs = this.#outputs;
    const matrix = this.#matrix;
    const right = this.#right;
    for (let i = 0; i < members.length; i++) {
      const player = members[i] ?? 0;
      for (let j = 0; j <= i; j++) {
        const at = player * players + (members[j] ?? 0);
        matrix[at] = (matrix[at] ?? 0) + weight;
      }
      for (let output = 0; output < outputs; output++) {
        const at = player * (outputs + 1) + output;
        right[at] = (right[at] ?? 0) + weight * (gains[output] ?? 0);
      }
    }
  }

  /**
   * Values [players, outputs] that add up to `total` for each output; undefined when the sets added do not determine them. Called once: the equations are used up.
   */
  *solve(total: Float64Array): Steps<Float64Array | undefined> {
    const { length: outputs } = total;
    if (this.#players <= 1) return total.slice(0, this.#players * outputs);
    if (!(yield* this.#factorize())) return undefined;
    yield* this.#substitute();
    // Right now holds A^-1 b, and A^-1 1 in its last column: the correction that meets the constraint and costs least.
    const columns = outputs + 1;
    const sums = new Float64Array(columns);
    for (let at = 0; at < this.#right.length; at++) sums[at % columns] = (sums[at % columns] ?? 0) + (this.#right[at] ?? 0);
    const values = new Float64Array(this.#players * outputs);
    for (let player = 0; player < this.#players; player++) {
      const share = (this.#right[player * columns + outputs] ?? 0) / (sums[outputs] ?? 1);
      for (let output = 0; output < outputs; output++) {
        const missing = (total[output] ?? 0) - (sums[output] ?? 0);
        values[player * outputs + output] = (this.#right[player * columns + output] ?? 0) + share * missing;
      }
      yield;
    }
    return values;
  }

  /** Cholesky in place; false when the matrix is not positive definite. */
  *#factorize(): Steps<boolean> {
    const n = this.#players;
    const a = this.#matrix;
    let largest = 0;
    for (let i = 0; i < n; i++) largest = Math.max(largest, a[i * n + i] ?? 0);
    for (let i = 0; i < n; i++) {
      for (let j = 0; j <= i; j++) {
        let sum = a[i * n + j] ?? 0;
        for (let k = 0; k < j; k++) sum -= (a[i * n + k] ?? 0) * (a[j * n + k] ?? 0);
        if (i !== j) a[i * n + j] = sum / (a[j * n + j] ?? 1);
        else if (sum <= largest * SMALLEST_PIVOT) return false;
        else a[i * n + i] = Math.sqrt(sum);
        if (j % 64 === 63) yield;
      }
      yield;
    }
    return true;
  }

  /** Solves for all columns at once, forward with the factor and back with its transpose. */
  *#substitute(): Steps<void> {
    const n = this.#players;
    for (let i = 0; i < n; i++) {
      for (let k = 0; k < i; k++) this.#subtractRow(i, k, this.#matrix[i * n + k] ?? 0);
      this.#divideRow(i, this.#matrix[i * n + i] ?? 1);
      yield;
    }
    for (let i = n - 1; i >= 0; i--) {
      for (let k = i + 1; k < n; k++) this.#subtractRow(i, k, this.#matrix[k * n + i] ?? 0);
      this.#divideRow(i, this.#matrix[i * n + i] ?? 1);
      yield;
    }
  }

  #subtractRow(row: number, other: number, factor: number): void {
    const right = this.#right;
    const columns = this.#outputs + 1;
    const from = other * columns;
    const to = row * columns;
    for (let c = 0; c < columns; c++) right[to + c] = (right[to + c] ?? 0) - factor * (right[from + c] ?? 0);
  }

  #divideRow(row: number, divisor: number): void {
    const right = this.#right;
    const columns = this.#outputs + 1;
    for (let at = row * columns; at < (row + 1) * columns; at++) right[at] = (right[at] ?? 0) / divisor;
  }
}
