import { invalidRequest } from '../../core/errors.ts';
import type { HttpCall } from '../../core/http.ts';

/** Longest name of a model or version: that of a directory, which most of them are. */
const MAX_NAME_LENGTH = 255;

/** The model that the path names. Names are only looked up, never joined to paths. Throws invalid_request for one that no model can have. */
export function modelOf(call: HttpCall): { readonly name: string; readonly version: string | undefined } {
  const { model = '', version } = call.params;
  check('model name', model);
  if (version !== undefined) check('model version', version);
  return { name: model, version };
}

function check(what: string, text: string): void {
  if (text.length > MAX_NAME_LENGTH) {
    throw invalidRequest(`Cannot read ${what}: expected at most ${MAX_NAME_LENGTH} characters, got ${text.length}`);
  }
  if (text.includes('\0')) throw invalidRequest(`Cannot read ${what}: expected text without NUL, got one`);
}
