import type { Logger, RequestContext } from '../core/context.ts';
import { invalidRequest, ServingError } from '../core/errors.ts';
import type { InferRequest, InferResponse } from '../core/infer.ts';
import { runStepsYielding, type Steps } from '../core/steps.ts';
import { allocateData, createParameters, formatShape, type FixedSizeData, type ParameterValue, type Tensor } from '../core/tensor.ts';
import type { Predict, ResolvedModel } from '../dataplane/index.ts';
import { chooseInput, chooseOutput } from './explained-tensors.ts';
import { isNumeric, toNumbers, wordsOf, type NumericTensor, type Words } from './numbers.ts';
import type { ExplainerSettings } from './options.ts';
import { readText } from './request-parameters.ts';
import { tileRow } from './tile-row.ts';

/** Silent by default. Called after each call of the model. */
export interface ExplainObserver {
  evaluated?(model: string, rows: number): void;
  /** Once for each request that was explained. */
  explained?(model: string, ctx: RequestContext, ms: number): void;
}

export interface QuestionDependencies {
  readonly log: Logger;
  readonly observer?: ExplainObserver;
}

/** Variants of one row of a request, and what becomes of the model's answers to them. Both are called once for each variant, in order. */
export interface Variants {
  readonly count: number;
  /** Writes the variant's input over `words` from `at` on: all of it, in the words of `Question.words`. */
  fill(index: number, words: Words['words'], at: number): void;
  /** The model's answer is values[at … at + outputs]. Finite numbers. */
  take(index: number, values: Float64Array, at: number): void;
}

const PROGRESS_EVERY_MS = 1000;

/** One request to explain, and the way to ask its model about variants of its rows, in calls of bounded size. */
export class Question {
  readonly input: NumericTensor;
  readonly rows: number;
  readonly rowShape: readonly number[];
  /** Elements of a row. */
  readonly features: number;
  /** The whole input, for bitwise copies. */
  readonly words: Words;
  readonly #request: InferRequest;
  readonly #model: ResolvedModel;
  readonly #predict: Predict;
  readonly #ctx: RequestContext;
  readonly #deps: QuestionDependencies;
  readonly #rowsPerCall: number;
  /** The model takes exactly so many rows. */
  readonly #isFixed: boolean;
  #outputName: string | undefined;
  #outputs = 0;
  #evaluations = 0;
  #planned = 0;
  #reportAt = performance.now() + PROGRESS_EVERY_MS;

  /** Throws invalid_request when the request has nothing to explain. */
  constructor(
    settings: Pick<ExplainerSettings, 'input' | 'output' | 'maxRows'>,
    subject: { readonly request: InferRequest; readonly model: ResolvedModel; readonly predict: Predict; readonly ctx: RequestContext },
    deps: QuestionDependencies,
  ) {
    const { request, model, predict, ctx } = subject;
    if (request.body !== undefined) throw invalidRequest(`Cannot explain a body of ${request.body.contentType}: expected tensors of a known input`);
    this.input = chooseInput(request.inputs, readText(request.parameters, 'input') ?? settings.input);
    this.words = wordsOf(this.input.data);
    const [rows = 1, ...rowShape] = this.input.shape;
    this.rows = rows;
    this.rowShape = rowShape;
    this.features = this.input.data.length / rows;
    this.#request = request;
    this.#model = model;
    this.#predict = predict;
    this.#ctx = ctx;
    this.#deps = deps;
    const declaredRows = this.#declaredRows(this.input.name);
    this.#isFixed = declaredRows !== undefined && declaredRows > 0;
    this.#rowsPerCall = this.#isFixed ? rows : settings.maxRows;
    const wanted = readText(request.parameters, 'output') ?? onlyOutput(request) ?? settings.output;
    this.#outputName = chooseOutput(model.signature.isOpen ? [] : model.signature.outputs, wanted);
  }

  /** Values that the explained output has for a row; known after the first answer. */
  get outputs(): number {
    return this.#outputs;
  }

  /** Announces further evaluations, for the progress in the log. */
  plan(evaluations: number): void {
    this.#planned += evaluations;
  }

  /** Asks about variants of a row. Rejects when the client has left or the deadline has passed, and as `predict` does. */
  async ask(row: number, variants: Variants): Promise<void> {
    for (let from = 0; from < variants.count; from += this.#rowsPerCall) {
      this.#checkWanted();
      const asked = Math.min(this.#rowsPerCall, variants.count - from);
      const sent = this.#isFixed ? this.#rowsPerCall : asked;
      const data: FixedSizeData = allocateData(this.input.datatype, sent * this.features);
      await runStepsYielding(this.#fill(variants, from, data, sent), this.#ctx.signal);
      const output = await this.#call(row, { ...this.input, shape: [sent, ...this.rowShape], data });
      await runStepsYielding(this.#take(variants, from, asked, output), this.#ctx.signal);
      this.#report(row, asked);
    }
  }

  /** Runs long work of the explainer's own in slices. */
  run<T>(steps: Steps<T>): Promise<T> {
    return runStepsYielding(steps, this.#ctx.signal);
  }

  answer(outputs: readonly Tensor[], parameters: Readonly<Record<string, ParameterValue>>): InferResponse {
    const { id } = this.#request;
    return {
      modelName: this.#model.name,
      modelVersion: this.#model.version,
      ...(id === undefined ? {} : { id }),
      parameters: createParameters([...Object.entries(parameters), ['output', this.#outputName ?? ''], ['evaluations', this.#evaluations]]),
      outputs,
    };
  }

  /** First dimension of an input as the model declares it; undefined where nothing is known. */
  #declaredRows(input: string): number | undefined {
    const { signature } = this.#model;
    return signature.isOpen ? undefined : signature.inputs.find(({ name }) => name === input)?.shape[0];
  }

  #checkWanted(): void {
    const { signal, deadline } = this.#ctx;
    if (signal.aborted) throw signal.reason;
    if (performance.now() < deadline) return;
    const done = `${this.#evaluations} of at least ${this.#planned} evaluations`;
    throw new ServingError('deadline_exceeded', `Cannot explain with model "${this.#model.name}" in time: ${done} were done at the deadline`);
  }

  *#fill(variants: Variants, from: number, data: FixedSizeData, sent: number): Steps<void> {
    const { words, perElement } = wordsOf(data);
    for (let i = 0; i < sent; i++) {
      // A model of fixed size gets the last variant again for the rows that nobody asked for.
      variants.fill(Math.min(from + i, variants.count - 1), words, i * this.features * perElement);
      yield;
    }
  }

  async #call(row: number, input: Tensor): Promise<NumericTensor> {
    const sent = input.shape[0] ?? 1;
    const inputs = this.#request.inputs.map((other) => {
      if (other.name === input.name) return input;
      return this.#goesByRows(other) ? tileRow(other, row, sent) : other;
    });
    const outputs = await this.#predict(inputs, this.#outputName === undefined ? undefined : [this.#outputName]);
    this.#deps.observer?.evaluated?.(this.#model.name, sent);
    this.#outputName ??= chooseOutput(outputs, undefined);
    const output = outputs.find(({ name }) => name === this.#outputName);
    if (output === undefined || !isNumeric(output)) {
      throw new ServingError(
        'model_failed',
        `Cannot explain output "${this.#outputName ?? ''}": the model answered ${output === undefined ? 'without it' : 'BYTES'}`,
      );
    }
    this.#checkOutput(output, sent);
    return output;
  }

  /** Inputs with one row for each row of the explained one; others are the same for all rows. */
  #goesByRows(other: Tensor): boolean {
    return other.shape[0] === this.rows && this.#declaredRows(other.name) === this.#declaredRows(this.input.name);
  }

  #checkOutput({ name, shape, data }: NumericTensor, sent: number): void {
    const outputs = data.length / sent;
    if (shape[0] === sent && outputs > 0 && (this.#outputs === 0 || this.#outputs === outputs)) {
      this.#outputs = outputs;
      return;
    }
    const expected = this.#outputs === 0 ? `${sent} rows` : `${sent} rows of ${this.#outputs} values`;
    throw invalidRequest(`Cannot explain output "${name}": expected ${expected} for ${sent} input rows, got shape ${formatShape(shape)}`);
  }

  *#take(variants: Variants, from: number, asked: number, output: NumericTensor): Steps<void> {
    const values = toNumbers(output);
    for (let i = 0; i < asked; i++) {
      const at = i * this.#outputs;
      for (let k = at; k < at + this.#outputs; k++) {
        if (!Number.isFinite(values[k])) {
          const got = `${values[k] ?? NaN} for a variant of the input`;
          throw invalidRequest(
            `Cannot explain output "${output.name}": expected finite numbers, the model gave ${got}; look for NaN and infinities in the input and the background`,
          );
        }
      }
      variants.take(from + i, values, at);
      yield;
    }
  }

  #report(row: number, asked: number): void {
    this.#evaluations += asked;
    const now = performance.now();
    if (now < this.#reportAt) return;
    this.#reportAt = now + PROGRESS_EVERY_MS;
    const progress = { row: row + 1, rows: this.rows, evaluations: this.#evaluations, planned: this.#planned };
    this.#deps.log.info({ requestId: this.#ctx.id, model: this.#model.name, ...progress }, 'Explaining');
  }
}

/** Of the model's outputs a request may ask for one, which is the one to explain. */
function onlyOutput({ outputs }: InferRequest): string | undefined {
  const [output, second] = outputs ?? [];
  if (second !== undefined) throw invalidRequest(`Cannot explain several outputs at once: expected one of the model's, got ${outputs?.length ?? 0}`);
  return output?.name;
}
