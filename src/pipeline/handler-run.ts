import type { BatchMember, StageTimings } from '../core/batch.ts';
import { ServingError, toServingError } from '../core/errors.ts';
import type { InferRequest, InferResponse } from '../core/infer.ts';
import { HandlerRequest, HandlerResponse, type Handler, type Next, type Predict } from '../handler/index.ts';
import { checkAnswer } from './check-answer.ts';
import type { Answered } from './collect-parts.ts';
import type { HandlerCall } from './handler-call.ts';
import { blameHandler, handlerFault, type Method } from './handler-fault.ts';
import type { NextModel } from './next-model.ts';
import { takeAnswer } from './take-answer.ts';
import { takeRequest } from './take-request.ts';
import { WrongAnswer } from './wrong-answer.ts';

/** What the runs of one loaded model share. */
export interface HandlerParts {
  readonly handler: Handler;
  /** Its name for clients; where it lies is not their business. */
  readonly file: string;
  readonly modelName: string;
  readonly modelVersion: string;
  /** Undefined for a handler without a model file. */
  readonly model: NextModel | undefined;
}

/** One request's way through user code. */
export class HandlerRun {
  readonly #parts: HandlerParts;
  readonly #member: BatchMember;
  readonly #call: HandlerCall;
  #preprocessMs = 0;
  #predictMs = 0;
  #postprocessMs = 0;
  #explainMs: number | undefined;
  #method: Method = 'preprocess';

  constructor(parts: HandlerParts, member: BatchMember, call: HandlerCall) {
    this.#parts = parts;
    this.#member = member;
    this.#call = call;
  }

  /** Where user code is, or was last. */
  get method(): Method {
    return this.#method;
  }

  get timings(): StageTimings {
    const timings = { preprocessMs: this.#preprocessMs, predictMs: this.#predictMs, postprocessMs: this.#postprocessMs };
    return this.#explainMs === undefined ? timings : { ...timings, explainMs: this.#explainMs };
  }

  /** Rejects with ServingError. */
  async answer(): Promise<InferResponse> {
    const { verb, request } = this.#member;
    const { outputs, body, parameters } = verb === 'explain' ? await this.#explain(request) : await this.#infer(request);
    const headers = this.#takeHeaders();
    return {
      modelName: this.#parts.modelName,
      modelVersion: this.#parts.modelVersion,
      ...(request.id === undefined ? undefined : { id: request.id }),
      ...(parameters === undefined ? undefined : { parameters }),
      outputs,
      ...(body === undefined ? undefined : { body }),
      ...(headers === undefined ? undefined : { headers }),
    };
  }

  /** Each promise costs: what user code gives back at once goes on at once. */
  async #infer(request: InferRequest): Promise<Answered> {
    const started = performance.now();
    const preparing = this.#preprocess(request);
    const prepared = preparing instanceof Promise ? await preparing : preparing;
    const preparedAt = performance.now();
    const predicted = await this.#predict(prepared);
    const predictedAt = performance.now();
    const finishing = this.#postprocess(predicted);
    const answered = finishing instanceof Promise ? await finishing : finishing;
    const { outputs: declared } = this.#parts.handler;
    if (declared !== undefined) {
      this.#inUserCode(() => {
        checkAnswer(answered, declared, request.outputs);
      });
    }
    this.#preprocessMs += preparedAt - started;
    this.#predictMs += predictedAt - preparedAt;
    this.#postprocessMs += performance.now() - predictedAt;
    return answered;
  }

  #preprocess(request: InferRequest): InferRequest | Promise<InferRequest> {
    const { handler } = this.#parts;
    if (handler.preprocess === undefined) return request;
    this.#enter('preprocess');
    const take = (returned: unknown): InferRequest => (returned === undefined ? request : takeRequest(returned, request, 'it returned'));
    try {
      const returned: unknown = handler.preprocess(new HandlerRequest(request), this.#call);
      return isThenable(returned) ? this.#guard(returned, take) : take(returned);
    } catch (thrown) {
      throw this.#fault(thrown);
    }
  }

  #predict(request: InferRequest): Promise<Answered> {
    const { handler } = this.#parts;
    if (handler.predict === undefined) return this.#runModel(request);
    this.#enter('predict');
    return this.#guard((async () => handler.predict?.(new HandlerRequest(request), this.#nextFrom(request), this.#call))(), this.#takeAnswer);
  }

  #postprocess(answered: Answered): Answered | Promise<Answered> {
    const { handler, modelName } = this.#parts;
    if (handler.postprocess === undefined) return answered;
    this.#enter('postprocess');
    try {
      const returned: unknown = handler.postprocess(new HandlerResponse({ modelName, ...answered }), this.#call);
      if (isThenable(returned)) return this.#guard(returned, this.#takeAnswer);
      const taken = this.#takeAnswer(returned);
      return taken instanceof Promise ? this.#guard(taken, (value) => value as Answered) : taken;
    } catch (thrown) {
      throw this.#fault(thrown);
    }
  }

  async #explain(request: InferRequest): Promise<Answered> {
    const { handler, modelName } = this.#parts;
    if (handler.explain === undefined) throw new ServingError('unimplemented', `Model "${modelName}" has no explain`);
    this.#enter('explain');
    const started = performance.now();
    const predict: Predict = async (given) => {
      const answered = await this.#infer(this.#take(given, withoutOutputs(request), 'predict got'));
      this.#method = 'explain';
      return new HandlerResponse({ modelName, ...answered });
    };
    try {
      return await this.#takeAnswer(await handler.explain(new HandlerRequest(request), predict, this.#call, this.#nextFrom(request)));
    } catch (thrown) {
      throw this.#fault(thrown);
    } finally {
      this.#explainMs = performance.now() - started;
    }
  }

  #nextFrom(current: InferRequest): Next {
    return async (given) => new HandlerResponse(await this.#runModel(this.#take(given, withoutOutputs(current), 'next got')));
  }

  /** Tensors that the model does not take are the client's fault only when they are the client's own, as published. */
  async #runModel(request: InferRequest): Promise<InferResponse> {
    const { model, handler, modelName } = this.#parts;
    if (model === undefined) throw this.#fault(new WrongAnswer(`model "${modelName}" has no model file to run: answer from predict without next`));
    const wanted = this.#wanted(request);
    const isClients = request.inputs === this.#member.request.inputs && handler.inputs === undefined;
    try {
      if (request.body !== undefined && !model.isElsewhere) {
        throw new WrongAnswer(
          `a body of ${request.body.contentType} went on to model "${modelName}", which takes tensors: return them from preprocess`,
        );
      }
      model.check(wanted);
      const response = await model.infer(wanted, this.#member.ctx, this.#member.signal);
      if (response.headers !== undefined) this.#call.passOn(response.headers);
      return response;
    } catch (thrown) {
      const error =
        thrown instanceof WrongAnswer ? this.#fault(thrown) : toServingError(thrown, 'model_failed', `Model "${modelName}" failed while running`);
      throw error.reason === 'invalid_request' && !isClients && !model.isElsewhere ? blameHandler(this.#parts.file, this.#method, error) : error;
    }
  }

  /** Outputs that the client named are all that the model computes, unless user code still has to read others or gives them other names. */
  #wanted(request: InferRequest): InferRequest {
    const { handler } = this.#parts;
    const isClients = request.outputs !== undefined && request.outputs === this.#member.request.outputs;
    return isClients && (handler.postprocess !== undefined || handler.outputs !== undefined) ? withoutOutputs(request) : request;
  }

  readonly #takeAnswer = (returned: unknown): Answered | Promise<Answered> => takeAnswer(returned, () => this.#member.signal.aborted);

  /** What user code promised, taken; a rejection is its fault. */
  async #guard<T>(returned: PromiseLike<unknown>, take: (value: unknown) => T | Promise<T>): Promise<T> {
    try {
      return await take(await returned);
    } catch (thrown) {
      throw this.#fault(thrown);
    }
  }

  /** User code does not start for a request that nobody waits for any more. */
  #enter(method: Method): void {
    if (this.#member.signal.aborted) throw new ServingError('cancelled', `Cancelled before the handler's ${method}`);
    this.#method = method;
  }

  #take(given: unknown, current: InferRequest, got: 'next got' | 'predict got'): InferRequest {
    return this.#inUserCode(() => takeRequest(given, current, got));
  }

  #takeHeaders(): InferResponse['headers'] {
    return this.#inUserCode(() => this.#call.takeHeaders());
  }

  #inUserCode<T>(check: () => T): T {
    try {
      return check();
    } catch (thrown) {
      throw this.#fault(thrown);
    }
  }

  #fault(thrown: unknown): ServingError {
    return handlerFault(this.#parts.file, this.#method, thrown);
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { readonly then?: unknown }).then === 'function';
}

function withoutOutputs(request: InferRequest): InferRequest {
  if (request.outputs === undefined) return request;
  const rest: { -readonly [Key in keyof InferRequest]: InferRequest[Key] } = { ...request };
  delete rest.outputs;
  return rest;
}
