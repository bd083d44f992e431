import type { RequestedOutput } from '../core/infer.ts';
import type { TensorMetadata } from '../core/metadata.ts';
import { formatShape } from '../core/tensor.ts';
import { fitsShape } from './check-inputs.ts';
import type { Answered } from './collect-parts.ts';
import { listNames } from './name-list.ts';
import { WrongAnswer } from './wrong-answer.ts';

/**
 * Checks an answer against the outputs that the handler declares: names, datatypes and shapes, and that all of them are there unless the client asked for some.
 * A body is free. Throws WrongAnswer that names the output, both states and the fix.
 */
export function checkAnswer(
  { outputs, body }: Answered,
  declared: readonly TensorMetadata[],
  requested: readonly RequestedOutput[] | undefined,
): void {
  if (body !== undefined) return;
  for (const { name, datatype, shape } of outputs) {
    const metadata = declared.find((candidate) => candidate.name === name);
    if (metadata === undefined)
      throw new WrongAnswer(`it answered output "${name}", its outputs declare ${listNames(declared, 'outputs')}: rename it or declare it`);
    if (datatype !== metadata.datatype || !fitsShape(shape, metadata.shape)) {
      const expected = `${metadata.datatype} ${formatShape(metadata.shape)}`;
      throw new WrongAnswer(`it answered output "${name}" as ${datatype} ${formatShape(shape)}, its outputs declare ${expected}`);
    }
  }
  for (const { name } of requested === undefined || requested.length === 0 ? declared : requested) {
    if (!outputs.some((output) => output.name === name)) throw new WrongAnswer(`it did not answer output "${name}", which its outputs declare`);
  }
}
