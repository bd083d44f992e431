import { invalidRequest } from '../core/errors.ts';
import type { InferResponse } from '../core/infer.ts';
import { formatShape } from '../core/tensor.ts';
import type { Explainer } from '../dataplane/index.ts';
import type { Background } from './background.ts';
import { chooseCoalitions, countCoalitions, type Coalitions } from './coalitions.ts';
import { ShapleyRegression } from './least-squares.ts';
import { fromNumbers, wordsOf, type Words } from './numbers.ts';
import type { ExplainerSettings } from './options.ts';
import { Question, type QuestionDependencies } from './question.ts';
import { readInteger } from './request-parameters.ts';

/** Up to so many features, `auto` tries every combination. */
const MOST_FEATURES_IN_FULL = 12;
const SAMPLES_BEYOND = 2048;
/** What a request may ask for, unless the operator has set more. */
const MOST_SAMPLES_OF_REQUEST = 65_536;
/** Shapley values of one answer: 128 MiB. */
const MOST_VALUES = 2 ** 24;

type KernelShapSettings = Pick<ExplainerSettings, 'input' | 'output' | 'maxRows' | 'samples' | 'seed' | 'maxFeatures'>;

/**
 * Shapley values by KernelSHAP (Lundberg and Lee 2017). A feature is one element of a row; one that is not in a combination takes its values from the background,
 * over whose rows the model's answers are averaged. Answers FP64 tensors, with K the values of the explained output for a row:
 *
 *     shap_values     [rows, …row's shape, K]   what each feature adds; their sum is prediction - expected_value
 *     expected_value  [rows, K]                 mean of the answers to the background
 *     prediction      [rows, K]                 the answer to the row itself
 *
 * and parameters `exact` (every combination was tried for every row), `output`, `evaluations`. Features equal to the background everywhere add 0 and cost nothing.
 */
export function createKernelShap(settings: KernelShapSettings, background: Background, deps: QuestionDependencies): Explainer['explain'] {
  return async (request, model, predict, ctx) => {
    const { parameters } = request;
    const mostSamples = settings.samples === 'auto' ? MOST_SAMPLES_OF_REQUEST : Math.max(settings.samples, MOST_SAMPLES_OF_REQUEST);
    const samples = readInteger(parameters, 'samples', 2, mostSamples) ?? settings.samples;
    const seed = readInteger(parameters, 'seed', 0, 0xffff_ffff) ?? settings.seed;
    const question = new Question(settings, { request, model, predict, ctx }, deps);
    const explanation = new KernelExplanation(question, backgroundFor(question, background), { samples, seed, maxFeatures: settings.maxFeatures });
    return explanation.answer();
  };
}

interface BackgroundWords extends Words {
  readonly rows: number;
}

/** The background in the datatype of the explained input. Throws invalid_request when it does not fit. */
function backgroundFor({ input, features, rowShape }: Question, { path, byInput, unnamed }: Background): BackgroundWords {
  const table = byInput.get(input.name) ?? unnamed;
  if (table === undefined) {
    throw invalidRequest(`Cannot explain input "${input.name}": expected it in the background ${path}, got ${[...byInput.keys()].join(', ')}`);
  }
  if (table.width !== features) {
    const expected = `${features} values a row, as the input has (${formatShape(rowShape)})`;
    throw invalidRequest(`Cannot explain input "${input.name}" with the background ${path}: expected ${expected}, got ${table.width}`);
  }
  return { ...wordsOf(fromNumbers(input.datatype, table.values, `the background ${path}`)), rows: table.rows };
}

interface Effort {
  readonly samples: number | 'auto';
  readonly seed: number;
  readonly maxFeatures: number;
}

/** Model's answers to the row itself and, on average, to the background. */
interface Ends {
  readonly prediction: Float64Array;
  readonly expected: Float64Array;
}

class KernelExplanation {
  readonly #question: Question;
  readonly #background: BackgroundWords;
  readonly #effort: Effort;
  /** Of the row before: rows mostly have the same number of features. */
  #coalitions: { readonly players: number; readonly chosen: Coalitions } | undefined;
  #isExact = true;

  constructor(question: Question, background: BackgroundWords, effort: Effort) {
    this.#question = question;
    this.#background = background;
    this.#effort = effort;
  }

  async answer(): Promise<InferResponse> {
    const { rows, rowShape, features } = this.#question;
    let shap = new Float64Array(0);
    let expected = shap;
    let prediction = shap;
    for (let row = 0; row < rows; row++) {
      const players = this.#playersOf(row);
      const coalitions = await this.#choose(players.length);
      this.#question.plan(1 + this.#background.rows * (1 + coalitions.count));
      const ends = await this.#askEnds(row);
      const { outputs } = this.#question;
      if (row === 0) {
        shap = new Float64Array(this.#checkSize(rows * features * outputs));
        expected = new Float64Array(rows * outputs);
        prediction = new Float64Array(rows * outputs);
      }
      const values = await this.#explainRow(row, players, coalitions, ends);
      players.forEach((feature, player) => {
        shap.set(values.subarray(player * outputs, (player + 1) * outputs), (row * features + feature) * outputs);
      });
      expected.set(ends.expected, row * outputs);
      prediction.set(ends.prediction, row * outputs);
    }
    const { outputs } = this.#question;
    return this.#question.answer(
      [
        { name: 'shap_values', datatype: 'FP64', shape: [rows, ...rowShape, outputs], data: shap },
        { name: 'expected_value', datatype: 'FP64', shape: [rows, outputs], data: expected },
        { name: 'prediction', datatype: 'FP64', shape: [rows, outputs], data: prediction },
      ],
      { explainer: 'kernel-shap', exact: this.#isExact },
    );
  }

  #checkSize(values: number): number {
    if (values <= MOST_VALUES) return values;
    throw invalidRequest(`Cannot explain so much in one request: expected at most ${MOST_VALUES} values (rows x features x outputs), got ${values}`);
  }

  /** Features that differ from the background somewhere. Bits are compared, so a NaN equals itself. */
  #playersOf(row: number): Uint32Array {
    const { features, words, input } = this.#question;
    const width = features * words.perElement;
    const players: number[] = [];
    for (let feature = 0; feature < features; feature++) {
      if (this.#varies(row * width + feature * words.perElement, feature * words.perElement, width)) players.push(feature);
    }
    if (players.length > this.#effort.maxFeatures) {
      const expected = `at most ${this.#effort.maxFeatures} features that differ from the background (--explainer_max_features)`;
      throw invalidRequest(`Cannot explain input "${input.name}" with kernel-shap: expected ${expected}, got ${players.length}`);
    }
    return Uint32Array.from(players);
  }

  #varies(at: number, inBackground: number, width: number): boolean {
    const { words, perElement } = this.#question.words;
    for (let row = 0; row < this.#background.rows; row++) {
      for (let word = 0; word < perElement; word++) {
        if (words[at + word] !== this.#background.words[row * width + inBackground + word]) return true;
      }
    }
    return false;
  }

  async #choose(players: number): Promise<Coalitions> {
    if (this.#coalitions?.players === players) return this.#coalitions.chosen;
    const all = countCoalitions(players);
    const automatic = players <= MOST_FEATURES_IN_FULL ? all : 2 * players + SAMPLES_BEYOND;
    const samples = this.#effort.samples === 'auto' ? automatic : this.#effort.samples;
    const least = Math.min(2 * players, all);
    if (samples < least) {
      throw invalidRequest(
        `Cannot explain ${players} features with ${samples} samples: expected at least ${least}, see the request parameter "samples"`,
      );
    }
    const chosen = await this.#question.run(chooseCoalitions(players, samples, this.#effort.seed));
    if (!chosen.isComplete) this.#isExact = false;
    this.#coalitions = { players, chosen };
    return chosen;
  }

  async #askEnds(row: number): Promise<Ends> {
    const { features, words } = this.#question;
    const width = features * words.perElement;
    let prediction = new Float64Array(0);
    let expected = prediction;
    await this.#question.ask(row, {
      count: 1 + this.#background.rows,
      fill: (index, into, at) => {
        const [source, from] = index === 0 ? [words.words, row] : [this.#background.words, index - 1];
        into.set(source.subarray(from * width, (from + 1) * width), at);
      },
      take: (index, values, at) => {
        if (index === 0) {
          prediction = values.slice(at, at + this.#question.outputs);
          expected = new Float64Array(prediction.length);
        } else {
          for (let k = 0; k < expected.length; k++) expected[k] = (expected[k] ?? 0) + (values[at + k] ?? 0) / this.#background.rows;
        }
      },
    });
    return { prediction, expected };
  }

  /** Shapley values [players, outputs] of a row. */
  async #explainRow(row: number, players: Uint32Array, coalitions: Coalitions, { prediction, expected }: Ends): Promise<Float64Array> {
    const { features, words } = this.#question;
    const width = features * words.perElement;
    const { rows } = this.#background;
    const regression = new ShapleyRegression(players.length, expected.length);
    const gains = new Float64Array(expected.length);
    let members: Uint32Array = new Uint32Array(0);
    // Every combination with every row of the background: variant t is combination t / rows with row t % rows.
    await this.#question.ask(row, {
      count: coalitions.count * rows,
      fill: (index, into, at) => {
        const from = index % rows;
        if (from === 0 || members.length === 0) members = membersOf(coalitions, Math.floor(index / rows), players.length);
        into.set(this.#background.words.subarray(from * width, (from + 1) * width), at);
        copyMembers(members, players, words, row * width, into, at);
      },
      take: (index, values, at) => {
        const from = index % rows;
        if (from === 0) gains.fill(0);
        for (let k = 0; k < gains.length; k++) gains[k] = (gains[k] ?? 0) + ((values[at + k] ?? 0) - (expected[k] ?? 0)) / rows;
        const coalition = Math.floor(index / rows);
        if (from === rows - 1) regression.add(membersOf(coalitions, coalition, players.length), coalitions.weights[coalition] ?? 0, gains);
      },
    });
    const total = prediction.map((value, k) => value - (expected[k] ?? 0));
    const values = await this.#question.run(regression.solve(total));
    if (values !== undefined) return values;
    throw invalidRequest(
      `Cannot explain ${players.length} features: the ${coalitions.count} combinations tried do not tell them apart, ask for more in the request parameter "samples"`,
    );
  }
}

/** Players of a set, ascending. */
function membersOf({ words, wordsEach }: Coalitions, index: number, players: number): Uint32Array {
  const members = new Uint32Array(players);
  let count = 0;
  for (let player = 0; player < players; player++) {
    if ((((words[index * wordsEach + (player >>> 5)] ?? 0) >>> (player & 31)) & 1) === 1) members[count++] = player;
  }
  return members.subarray(0, count);
}

/** Gives the players of a set the values of the explained row, which starts at word `from`. */
function copyMembers(members: Uint32Array, players: Uint32Array, { words, perElement }: Words, from: number, into: Words['words'], at: number): void {
  for (let i = 0; i < members.length; i++) {
    const offset = (players[members[i] ?? 0] ?? 0) * perElement;
    for (let word = 0; word < perElement; word++) into[at + offset + word] = words[from + offset + word] ?? 0;
  }
}
