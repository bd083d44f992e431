import { readdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { isServingError } from '../core/errors.ts';
import type { Signature, TensorMetadata } from '../core/metadata.ts';
import { createLogger } from '../telemetry/index.ts';
import { formatBytes } from './format-bytes.ts';
import { EXIT_FAILED, EXIT_OK, EXIT_USAGE, type Host } from './host.ts';
import { sampleBody, sampleCurl, sampleInputs } from './sample-request.ts';

const BASE_URL = 'http://localhost:8080';
const MODEL_NAME = 'model';

/** What `inspect` found; printed as it is by `--json`. */
interface Inspection {
  readonly path: string;
  readonly platform: string;
  readonly size_bytes: number;
  readonly files: number;
  readonly properties: Readonly<Record<string, string>>;
  readonly inputs: Signature['inputs'];
  readonly outputs: Signature['outputs'];
  /** Absent when it would be too long to read; `curl` makes it then. */
  readonly sample_request?: unknown;
  readonly curl: string;
}

/** `inspect DIR`: loads the model and says what it takes and gives. */
export async function runInspect(args: readonly string[], host: Host): Promise<number> {
  const wanted = await readArguments(args);
  if ('problems' in wanted) {
    host.stderr.write(wanted.problems.map((problem) => `${problem}\n`).join(''));
    return EXIT_USAGE;
  }
  try {
    const inspection = await inspect(wanted.path, host);
    host.stdout.write(wanted.isJson ? `${JSON.stringify(inspection, null, 2)}\n` : renderInspection(inspection));
    return EXIT_OK;
  } catch (error) {
    if (!isServingError(error)) throw error;
    host.stderr.write(`${error.message}\n`);
    return EXIT_FAILED;
  }
}

async function readArguments(args: readonly string[]): Promise<{ path: string; isJson: boolean } | { problems: readonly string[] }> {
  const { tokens } = parseArgs({ args: [...args], strict: false, allowPositionals: true, tokens: true, options: { json: { type: 'boolean' } } });
  const problems: string[] = [];
  const paths: string[] = [];
  let isJson = false;
  for (const token of tokens) {
    if (token.kind === 'positional') paths.push(token.value);
    else if (token.kind === 'option' && token.rawName === '--json' && token.value === undefined) isJson = true;
    else if (token.kind === 'option') {
      const { didYouMean } = await import('../options/index.ts');
      problems.push(`unknown flag ${token.rawName}${didYouMean(token.name, ['json'], (name) => `--${name}`)}`);
    }
  }
  const [path] = paths;
  if (paths.length !== 1) problems.push(`expected one directory or file, got ${paths.length}: write kserve-node inspect DIR`);
  return problems.length > 0 || path === undefined ? { problems } : { path: resolve(path), isJson };
}

async function inspect(path: string, host: Host): Promise<Inspection> {
  const log = await createLogger({ logLevel: 'warn', logFormat: 'auto' }, host.stderr);
  const { detectEngine } = await import('../engine/index.ts');
  const engine = await detectEngine({ path });
  const options = { onnxBinding: 'auto', provider: 'cpu', intraOpThreads: 1, interOpThreads: 1 } as const;
  const session = await engine.load({ path }, options, log);
  try {
    const { signature, platform, properties } = session;
    const sample = sampleInputs(signature.inputs);
    const body = sampleBody(sample);
    return {
      path,
      platform,
      ...(await measure(path)),
      properties,
      inputs: signature.inputs,
      outputs: signature.outputs,
      ...(body === undefined ? {} : { sample_request: JSON.parse(body) as unknown }),
      curl: sampleCurl(BASE_URL, MODEL_NAME, sample),
    };
  } finally {
    await session.dispose();
  }
}

async function measure(path: string): Promise<{ size_bytes: number; files: number }> {
  const entry = await stat(path);
  if (!entry.isDirectory()) return { size_bytes: entry.size, files: 1 };
  const total = { size_bytes: 0, files: 0 };
  for (const { name, parentPath } of (await readdir(path, { recursive: true, withFileTypes: true })).filter((found) => !found.isDirectory())) {
    total.size_bytes += (await stat(join(parentPath, name))).size;
    total.files++;
  }
  return total;
}

function renderInspection({ path, platform, size_bytes, files, properties, inputs, outputs, sample_request, curl }: Inspection): string {
  const facts = [
    ['path', path],
    ['format', platform],
    ['size', `${formatBytes(size_bytes)} in ${files} ${files === 1 ? 'file' : 'files'}`],
  ];
  const lines = [...facts, ...Object.entries(properties)].map(([name = '', value = '']) => `${name.padEnd(24)}${value}\n`);
  const request = sample_request === undefined ? '' : `\nSample request\n  ${JSON.stringify(sample_request)}\n`;
  const serve = `\nServe it\n  kserve-node serve --model_dir=${path}\n\nSend the sample\n  ${curl}\n`;
  return `${lines.join('')}\nInputs\n${renderTensors(inputs)}\nOutputs\n${renderTensors(outputs)}${request}${serve}`;
}

function renderTensors(tensors: readonly TensorMetadata[]): string {
  const width = Math.max(...tensors.map(({ name }) => name.length)) + 2;
  return tensors.map((tensor) => `  ${tensor.name.padEnd(width)}${tensor.datatype.padEnd(8)}${renderShape(tensor)}\n`).join('');
}

/** `[batch,64]`: a dimension that varies by its name, or -1 where the model gives none. */
function renderShape({ shape, dimensionNames }: TensorMetadata): string {
  return `[${shape.map((dimension, axis) => (dimension < 0 ? (dimensionNames?.[axis] ?? '-1') : String(dimension))).join(',')}]`;
}
