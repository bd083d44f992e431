import { readdir, stat } from 'node:fs/promises';
import { basename } from 'node:path';

const SERVED = 'this build serves ONNX models (model.onnx, *.onnx, *.ort)';

/** Files by which models of other frameworks are told; the first match speaks. */
const KINDS: readonly (readonly [pattern: RegExp, kind: string])[] = [
  [/^saved_model\.pb(txt)?$/, 'a TensorFlow SavedModel'],
  [/\.pb$/, 'a TensorFlow graph'],
  [/\.tflite$/, 'a TensorFlow Lite model'],
  [/\.(h5|hdf5|keras)$/, 'a Keras model'],
  [/\.(joblib|pkl|pickle)$/, 'a Python pickle (scikit-learn), which is never loaded because it runs code'],
  [/\.skops$/, 'a scikit-learn model (skops)'],
  [/\.(pt|pth|torchscript|mar|pt2)$/, 'a PyTorch model'],
  [/\.(safetensors|gguf)$/, 'weights of a language model'],
  [/\.(bst|ubj)$/, 'an XGBoost model'],
  [/\.pmml$/, 'a PMML model'],
  [/\.(plan|engine)$/, 'a TensorRT engine'],
  [/\.mlmodel$/, 'a Core ML model'],
];

/** Most names that a message lists. */
const MAX_LISTED = 8;

/** One clause on what lies at a path that no engine recognises, and what would be served. Never throws. */
export async function describeForeignModel(path: string): Promise<string> {
  let names: string[];
  try {
    names = (await stat(path)).isDirectory() ? (await readdir(path)).filter((name) => !name.startsWith('.')).sort() : [basename(path)];
  } catch {
    return 'no such file or directory';
  }
  if (names.length === 0) return `the directory is empty; ${SERVED}`;
  for (const [pattern, kind] of KINDS) {
    const found = names.find((name) => pattern.test(name.toLowerCase()));
    if (found !== undefined) return `${found} is ${kind}; ${SERVED}`;
  }
  const listed = names.slice(0, MAX_LISTED).join(', ');
  return `found ${names.length > MAX_LISTED ? `${listed} and ${names.length - MAX_LISTED} more` : listed}; ${SERVED}`;
}
