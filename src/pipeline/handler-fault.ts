import { isServingError, type ServingError } from '../core/errors.ts';
import { describeThrown, handlerFailed, type Handler } from '../handler/index.ts';
import { WrongAnswer } from './wrong-answer.ts';

export type Method = Extract<keyof Handler, 'load' | 'preprocess' | 'predict' | 'postprocess' | 'explain' | 'unload'>;

/**
 * What came out of a method, as the error that the client gets: a ServingError (InvalidRequest is one, and so is what the model said) as it is, everything else as
 * handler_failed, named after file and method. The stack stays in `cause`.
 */
export function handlerFault(file: string, method: Method, thrown: unknown): ServingError {
  if (isServingError(thrown)) return thrown.reason === 'handler_failed' ? blameHandler(file, method, thrown) : thrown;
  const what = thrown instanceof WrongAnswer ? thrown.message : describeThrown(thrown);
  return handlerFailed(`Handler ${file} failed in ${method}: ${what}`, thrown);
}

/** The same words, as the handler's own fault. */
export function blameHandler(file: string, method: Method, error: ServingError): ServingError {
  if (error.reason === 'handler_failed' && error.message.startsWith('Handler ')) return error;
  return handlerFailed(`Handler ${file} failed in ${method}: ${error.message}`, error);
}
