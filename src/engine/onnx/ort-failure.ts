import { ServingError } from '../../core/errors.ts';

/** A status of ONNX Runtime that is no success. Never leaves this folder. */
export class OrtFailure extends Error {
  /** `OrtErrorCode`; 0 when the failure was seen on our side. */
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

const INVALID_ARGUMENT = 2;

/** Words by which kernels complain about the sizes of what they were given, whatever code they choose. */
const ABOUT_SHAPES = /\b(dimensions?|shapes?|rank|broadcast\w*|out of (?:data )?bounds|out of range|invalid dimensions)\b/i;

/** Longest reason that is passed on, characters. */
const MAX_REASON = 300;

/** A failed run: the client's fault when ONNX Runtime blames the inputs or their shapes, else the model's. */
export function runError(thrown: unknown): ServingError {
  const message = messageOf(thrown);
  const isRefusal = (thrown instanceof OrtFailure && thrown.code === INVALID_ARGUMENT) || ABOUT_SHAPES.test(message);
  const reason = shortenReason(message);
  if (isRefusal) return new ServingError('invalid_request', `Cannot run the model on these inputs: ${reason}`, { cause: thrown });
  return new ServingError('model_failed', `Cannot run the model: ${reason}`, { cause: thrown });
}

export function loadError(file: string, thrown: unknown): ServingError {
  return new ServingError('model_failed', `Cannot load model ${file}: ${shortenReason(messageOf(thrown).replaceAll(file, 'the file'))}`, {
    cause: thrown,
  });
}

export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** What ONNX Runtime puts around its reasons: source positions, C++ signatures, addresses, and phrases that tell a reader nothing. */
const NOISE: readonly RegExp[] = [
  /\S*\/onnxruntime\S*\.(?:cc|h|cpp|hpp|cu)(?::\d+)?(?: (?:[\w:<>&*, ]+ )?[\w:~<>]+::[\w~<>]+\([^)]*\)(?: const)?(?: \[with [^\]]*\])?)?/g,
  /\b\w+\.(?:cc|h):\d+ \w+/g,
  /\b0x[0-9a-f]+\b/gi,
  /^Load model from the file (?:failed: ?)?/,
  /^ONNX Runtime only \*guarantees\* support [^.]*\./,
  /Please fix either the inputs\/outputs or the model/g,
];

/** One line, as short as its meaning allows. */
export function shortenReason(message: string): string {
  let line = message.replaceAll(/\s+/g, ' ');
  for (const noise of NOISE) line = line.replace(noise, '');
  line = line
    .replaceAll(/ {2,}/g, ' ')
    .trim()
    .replace(/[.\s]+$/, '');
  if (line === '') return 'ONNX Runtime gives no reason';
  return line.length > MAX_REASON ? `${line.slice(0, MAX_REASON)}…` : line;
}
