import type { InferResponse } from '../core/infer.ts';
import { HandlerResponse, type ModelTypes } from '../handler/index.ts';

/** What a client would get. Readers throw when the answer is not what they ask for, and say what it is. */
export class TestResponse<C extends ModelTypes = ModelTypes> extends HandlerResponse<C> {
  /** What the handler put into `ctx.responseHeaders`. */
  readonly headers: Readonly<Record<string, string>>;

  constructor(response: InferResponse) {
    super(response);
    this.headers = response.headers ?? {};
  }
}
