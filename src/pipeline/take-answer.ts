import type { Body } from '../core/infer.ts';
import { describeValue, unwrapResponse } from '../handler/index.ts';
import { collectParts, type Answered } from './collect-parts.ts';
import { takeParameters } from './take-request.ts';
import { takeTensors } from './take-tensors.ts';
import { WrongAnswer } from './wrong-answer.ts';

/**
 * The answer of a method: tensors, tensors with parameters, `reply(…)`, a HandlerResponse as it is, or parts of those one after the other. Parts stop being
 * asked for when `isGone` says so. Throws WrongAnswer that says what it got and what was expected, or what the iterator throws.
 */
export function takeAnswer(value: unknown, isGone: () => boolean): Answered | Promise<Answered> {
  if (isAsyncIterable(value)) return collectParts(value, takePart, isGone);
  return takePart(value);
}

function takePart(value: unknown): Answered {
  const unchanged = unwrapResponse(value);
  if (unchanged !== undefined) return unchanged;
  if (Array.isArray(value)) return { outputs: takeTensors(value, 'outputs') };
  if (typeof value === 'object' && value !== null) {
    const { outputs, body, parameters } = value as Readonly<Record<string, unknown>>;
    if (body !== undefined && outputs === undefined) return { outputs: [], body: takeBody(body) };
    if (outputs !== undefined && body === undefined) {
      const tensors = takeTensors(outputs, 'outputs');
      return parameters === undefined ? { outputs: tensors } : { outputs: tensors, parameters: takeParameters(parameters) };
    }
  }
  throw new WrongAnswer(`it answered ${describeValue(value)}, expected tensors, { outputs: [tensor(…)] } or reply(value)`);
}

function takeBody(value: unknown): Body {
  if (typeof value === 'object' && value !== null) {
    const { contentType, bytes } = value as Readonly<Record<string, unknown>>;
    if (typeof contentType === 'string' && bytes instanceof Uint8Array) return { contentType, bytes };
  }
  throw new WrongAnswer(`body must be { contentType, bytes }, as reply(value, contentType) makes it, got ${describeValue(value)}`);
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as Record<PropertyKey, unknown>)[Symbol.asyncIterator] === 'function';
}
