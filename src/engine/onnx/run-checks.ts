import { invalidRequest, ServingError } from '../../core/errors.ts';
import type { TensorMetadata } from '../../core/metadata.ts';
import type { StopSignal } from '../../core/stop-signal.ts';
import type { Tensor } from '../../core/tensor.ts';

/** What native code would answer with a crash or a riddle: every input there once, none too many, datatypes right. Throws invalid_request. */
export function checkInputs(expected: ReadonlyMap<string, TensorMetadata>, inputs: readonly Tensor[]): void {
  for (let i = 0; i < inputs.length; i++) {
    const input = inputs[i];
    if (input === undefined) continue;
    const metadata = expected.get(input.name);
    if (metadata === undefined)
      throw invalidRequest(`Cannot run the model: it has no input "${input.name}", its inputs are ${quote(expected.keys())}`);
    if (input.datatype !== metadata.datatype) {
      throw invalidRequest(`Cannot run input "${input.name}": expected datatype ${metadata.datatype}, got ${input.datatype}`);
    }
    for (let j = 0; j < i; j++)
      if (inputs[j]?.name === input.name) throw invalidRequest(`Cannot run the model: input "${input.name}" is given twice`);
  }
  if (inputs.length === expected.size) return;
  const missing = [...expected.keys()].filter((name) => !inputs.some((input) => input.name === name));
  throw invalidRequest(`Cannot run the model: expected inputs ${quote(expected.keys())}, got none for ${quote(missing)}`);
}

/** The outputs wanted, in that order; all when none is named. Throws invalid_request for an unknown name or one named twice. */
export function selectOutputs<T>(outputs: ReadonlyMap<string, T>, wanted: readonly string[]): readonly T[] {
  if (wanted.length === 0) return [...outputs.values()];
  if (new Set(wanted).size < wanted.length) throw invalidRequest(`Cannot run the model: an output is requested twice among ${quote(wanted)}`);
  return wanted.map((name) => {
    const output = outputs.get(name);
    if (output === undefined) throw invalidRequest(`Cannot run the model: it has no output "${name}", its outputs are ${quote(outputs.keys())}`);
    return output;
  });
}

/** Asked anew each time: a signal aborts between two looks. */
export function isAborted(signal: StopSignal | undefined): boolean {
  return signal?.aborted === true;
}

export function cancelled(): ServingError {
  return new ServingError('cancelled', 'Run was stopped: nobody waits for its answer any more');
}

export function disposed(): ServingError {
  return new ServingError('model_failed', 'Cannot run the model: it is unloaded');
}

/** Most names that a message lists. */
const MAX_LISTED = 20;

function quote(names: Iterable<string>): string {
  const list = [...names];
  const quoted = list.slice(0, MAX_LISTED).map((name) => `"${name}"`);
  return list.length > MAX_LISTED ? `${quoted.join(', ')} and ${list.length - MAX_LISTED} more` : quoted.join(', ');
}
