import type { Signature, TensorMetadata } from '../core/metadata.ts';

/** First line of every file that this writes: a file without it is never replaced. */
export const TYPES_MARK = '// Written by `kserve-node types`.';

/** The declaration file that makes `defineHandler<Name>` know a model's inputs and outputs. The same model gives the same text. */
export function renderModelTypes(modelName: string, { inputs, outputs }: Pick<Signature, 'inputs' | 'outputs'>): string {
  const name = interfaceName(modelName);
  return `${TYPES_MARK} Write it again when the model changes.

/** What the model ${comment(modelName)} takes and gives, for \`defineHandler<${name}>\`. */
export interface ${name} {
  readonly inputs: ${renderSide(inputs)};
  readonly outputs: ${renderSide(outputs)};
}
`;
}

/** `digits-mlp` is `DigitsMlp`; a name without a letter or digit is `Model`, one that starts with a digit is put behind `Model`. */
export function interfaceName(modelName: string): string {
  const words = modelName.normalize('NFC').match(/[\p{L}\p{N}]+/gu) ?? ['model'];
  const name = words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('');
  return IDENTIFIER.test(name) ? name : `Model${name.replaceAll(/[^\p{ID_Continue}]/gu, '')}`;
}

const IDENTIFIER = /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u;

function renderSide(tensors: readonly TensorMetadata[]): string {
  const members = tensors.map((tensor) => {
    const key = IDENTIFIER.test(tensor.name) ? tensor.name : quote(tensor.name);
    return `    /** ${describeShape(tensor)} */\n    readonly ${key}: { readonly datatype: '${tensor.datatype}'; readonly shape: ${renderShape(tensor)} };\n`;
  });
  return members.length === 0 ? '{}' : `{\n${members.join('')}  }`;
}

/** `FP32 [batch, 64]`: a dimension that varies by its name, or `any` where the model gives none. */
function describeShape({ datatype, shape, dimensionNames }: TensorMetadata): string {
  if (shape.length === 0) return `${datatype}, one value or any shape: the model does not say how many dimensions`;
  const dimensions = shape.map((size, axis) => (size < 0 ? comment(dimensionNames?.[axis] ?? 'any') : String(size)));
  return `${datatype} [${dimensions.join(', ')}]`;
}

/** `[]` may be a scalar as well as a tensor of which the model tells no shape. */
function renderShape({ shape }: TensorMetadata): string {
  if (shape.length === 0) return 'readonly number[]';
  return `readonly [${shape.map((size) => (size < 0 ? 'number' : String(size))).join(', ')}]`;
}

/** Printable and unable to end the comment that it stands in. */
function comment(text: string): string {
  return text.replaceAll(/[\p{C}\p{Zl}\p{Zp}]+/gu, ' ').replaceAll('*/', '* /');
}

/** A string literal in single quotes. JSON's escapes are JavaScript's. */
function quote(text: string): string {
  const inner = JSON.stringify(text)
    .slice(1, -1)
    .replaceAll('\\"', '"')
    .replaceAll("'", "\\'")
    .replaceAll(/[\u2028\u2029]/g, (separator) => `\\u${separator.charCodeAt(0).toString(16)}`);
  return `'${inner}'`;
}
