import type * as Koffi from 'koffi';
import { koffi } from './koffi.ts';

/** Address of native memory; 0 never appears, a NULL is null. */
export type Pointer = bigint;

/** C types of the functions called here. `path` is what the platform's file functions take: UTF-8, or UTF-16 on Windows. */
export type CType = 'void' | 'bool' | 'int32' | 'uint32' | 'size' | 'string' | 'path' | 'pointer';

/** A pointer argument may be a typed array only in calls that end before they return: native code must not keep it. */
type ArgumentOf<T extends CType> = T extends 'int32' | 'uint32' | 'size'
  ? number
  : T extends 'string' | 'path'
    ? string
    : Pointer | NodeJS.TypedArray | null;
type ArgumentsOf<A extends readonly CType[]> = { -readonly [K in keyof A]: ArgumentOf<A[K]> };
type ResultOf<R extends CType> = R extends 'void'
  ? undefined
  : R extends 'bool'
    ? boolean
    : R extends 'int32' | 'uint32' | 'size'
      ? number
      : R extends 'string'
        ? string | null
        : Pointer | null;

export type Callback<R> = (error: Error | null, result: R) => void;

/** A C function. `async` runs it on a thread of libuv's pool and throws when too many calls wait already. */
export interface NativeFunction<R extends CType, A extends readonly CType[]> {
  (...args: ArgumentsOf<A>): ResultOf<R>;
  async(...args: [...ArgumentsOf<A>, Callback<ResultOf<R>>]): void;
}

const KOFFI_TYPES: Readonly<Record<CType, string>> = {
  void: 'void',
  bool: 'bool',
  int32: 'int32_t',
  uint32: 'uint32_t',
  size: 'size_t',
  string: 'str',
  path: process.platform === 'win32' ? 'str16' : 'str',
  pointer: 'void *',
};

export interface Library {
  /** An exported function. Throws when the library has none of that name. */
  symbol<R extends CType, const A extends readonly CType[]>(name: string, result: R, args: A): NativeFunction<R, A>;
}

/** Libraries are unmapped when their handle is collected, while functions taken by address still point into them: the handles stay here for good. */
const OPEN = new Set<Koffi.LibraryHandle>();

/** Loads a shared library for the life of the process (null: what the process is linked with already). Throws the path and the loader's own words when it cannot. */
export function openLibrary(path: string | null): Library {
  const library = loadLibrary(path);
  OPEN.add(library);
  return {
    symbol: (name, result, args) => library.func(name, KOFFI_TYPES[result], args.map(koffiType)),
  };
}

function loadLibrary(path: string | null): Koffi.LibraryHandle {
  try {
    return koffi.load(path);
  } catch (thrown) {
    throw new Error(`Cannot open ${path ?? 'the process'}: ${thrown instanceof Error ? thrown.message : String(thrown)}`, { cause: thrown });
  }
}

function koffiType(type: CType): string {
  return KOFFI_TYPES[type];
}

/** A struct of `length` function pointers, as libraries with a versioned table of functions hand out. */
export function readPointerTable(table: Pointer, length: number): readonly (Pointer | null)[] {
  return koffi.decode(table, koffi.array('void *', length)) as (Pointer | null)[];
}

/** The function at an address, e.g. one of `readPointerTable`. */
export function functionAt<R extends CType, const A extends readonly CType[]>(address: Pointer, result: R, args: A): NativeFunction<R, A> {
  return koffi.decode(address, koffi.proto(KOFFI_TYPES[result], args.map(koffiType))) as NativeFunction<R, A>;
}

/** Settles with the result of an asynchronous call; `start` passes `done` as the call's last argument. */
export function callAsync<R>(start: (done: Callback<R>) => void): Promise<R> {
  return new Promise((resolve, reject) => {
    start((error, result) => {
      if (error === null) resolve(result);
      else reject(error);
    });
  });
}
