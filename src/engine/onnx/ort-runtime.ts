import { existsSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { callAsync, limitArenas, NativeWords, type Handles, type NativeFunction, type Pointer } from '../native/index.ts';
import { openOrtApi, type OrtApi } from './ort-api.ts';
import { OrtFailure } from './ort-failure.ts';

/** Most dimensions a tensor may have here. */
export const MAX_RANK = 64;

/** First of the words that hold shapes and pointers of symbolic names; the ones before it are out-parameters. */
const SHAPE_AT = 8;

/** Fatal only: every failure comes back as a status too, and one line a bad request would drown the log. */
const LOG_SEVERITY = 4;

const DEVICE_ALLOCATOR = 0;
const DEFAULT_MEMORY = 0;

/** ONNX Runtime in this process: one library, one OrtEnv. Neither is ever given back, because its threads may outlive any moment to do so. */
export class OrtRuntime {
  readonly api: OrtApi;
  readonly version: string;
  /** Folder of the library; provider libraries lie beside it. */
  readonly directory: string;
  readonly env: Pointer;
  readonly allocator: Pointer;
  readonly cpuMemory: Pointer;
  /** For calls that end before they return: nothing in it survives the next call. */
  readonly #words = new NativeWords(SHAPE_AT + MAX_RANK);

  /** Takes over `env`. */
  constructor(library: ReturnType<typeof openOrtApi>, directory: string, env: Pointer) {
    const { api, version } = library;
    this.api = api;
    this.version = version;
    this.directory = directory;
    this.env = env;
    this.check(api.DisableTelemetryEvents(env));
    this.allocator = this.pointer((out) => api.GetAllocatorWithDefaultOptions(out));
    this.cpuMemory = this.pointer((out) => api.CreateCpuMemoryInfo(DEVICE_ALLOCATOR, DEFAULT_MEMORY, out));
  }

  /** Throws OrtFailure, and frees the status, unless it is a success. */
  check(status: Pointer | null): void {
    if (status !== null) throw takeFailure(this.api, status);
  }

  /** Frees a status that nobody needs to read. */
  release(status: Pointer | null): void {
    if (status !== null) this.api.ReleaseStatus(status);
  }

  /** What a call writes to its out-parameter, as a pointer. */
  pointer(call: (out: Pointer) => Pointer | null): Pointer {
    this.#call(call);
    return this.#words.pointerAt(0);
  }

  /** What a call writes to its out-parameter, as a size_t or int64. */
  number(call: (out: Pointer) => Pointer | null): number {
    this.#call(call);
    return this.#words.numberAt(0);
  }

  /** What a call writes to its out-parameter, as a C int or enum. */
  int32(call: (out: Pointer) => Pointer | null): number {
    this.#call(call);
    return this.#words.int32At(0);
  }

  /** A new native object that `handles` owns. */
  create(handles: Handles, release: NativeFunction<'void', readonly ['pointer']>, call: (out: Pointer) => Pointer | null): Pointer {
    this.#call(call);
    return handles.own(this.#words.pointerAt(0), release);
  }

  /** Writes a shape for the next call; valid until the next use of `shape` or `readWords`. At most MAX_RANK dimensions. */
  shape(dimensions: readonly number[]): Pointer {
    for (let i = 0; i < dimensions.length; i++) this.#words.signed[SHAPE_AT + i] = BigInt(dimensions[i] ?? 0);
    return this.#words.addressAt(SHAPE_AT);
  }

  /** What a call writes to an array of `count` words, at most MAX_RANK; valid until the next call. */
  words(count: number, call: (out: Pointer) => Pointer | null): BigInt64Array {
    if (count > MAX_RANK) throw new OrtFailure(0, `more than ${MAX_RANK} dimensions`);
    this.check(call(this.#words.addressAt(SHAPE_AT)));
    return this.#words.signed.subarray(SHAPE_AT, SHAPE_AT + count);
  }

  #call(call: (out: Pointer) => Pointer | null): void {
    this.#words.unsigned[0] = 0n;
    this.check(call(this.#words.addressAt(0)));
  }
}

let runtime: Promise<OrtRuntime> | undefined;

/**
 * The runtime of this process, opened on first use. Rejects when the library is absent, cannot be loaded or is too old; then the next call tries again.
 * The library takes 20 ms to register its operators, on a pool thread: a start imports modules meanwhile.
 */
export function ortRuntime(): Promise<OrtRuntime> {
  runtime ??= openRuntime().catch((error: unknown) => {
    runtime = undefined;
    throw error;
  });
  return runtime;
}

async function openRuntime(): Promise<OrtRuntime> {
  limitArenas();
  const path = findOrtLibrary();
  const library = openOrtApi(path);
  const { api } = library;
  const out = new NativeWords(1);
  const status = await callAsync<Pointer | null>((done) => {
    api.CreateEnv.async(LOG_SEVERITY, 'kserve-node', out.addressAt(0), done);
  });
  if (status !== null) throw takeFailure(api, status);
  return new OrtRuntime(library, dirname(path), out.pointerAt(0));
}

/** Frees the status of a failure. */
function takeFailure(api: OrtApi, status: Pointer): OrtFailure {
  const failure = new OrtFailure(api.GetErrorCode(status), api.GetErrorMessage(status) ?? '');
  api.ReleaseStatus(status);
  return failure;
}

const LIBRARY_NAME: Readonly<Record<string, RegExp>> = {
  linux: /^libonnxruntime\.so(\.\d+)*$/,
  darwin: /^libonnxruntime(\.\d+)*\.dylib$/,
  win32: /^onnxruntime\.dll$/,
};

/** The library that the npm package onnxruntime-node ships for this platform: `bin/napi-v<n>/<platform>/<arch>/`. */
export function findOrtLibrary(): string {
  const bin = join(dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json')), 'bin');
  for (const version of readdirSync(bin)) {
    const directory = join(bin, version, process.platform, process.arch);
    const names = existsSync(directory) ? readdirSync(directory) : [];
    const name = names.find((candidate) => LIBRARY_NAME[process.platform]?.test(candidate));
    if (name !== undefined) return join(directory, name);
  }
  throw new Error(`onnxruntime-node ships no library for ${process.platform}/${process.arch}`);
}
