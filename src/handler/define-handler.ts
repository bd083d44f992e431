import { isDatatype } from '../core/datatype.ts';
import { describeValue } from './handler-error.ts';
import { suggestMember } from './member-names.ts';
import type { Handler } from './handler.ts';
import type { ModelTypes } from './model-types.ts';

const BRAND = Symbol.for('kserve-node.Handler');

/** What `defineHandler` has checked; its types have done their work in the editor. */
export type DefinedHandler = Handler & { readonly [BRAND]: true };

/**
 * Declares user code around a model; the default export of a handler file.
 *
 *     export default defineHandler({
 *       preprocess: (request) => [tensor('input', 'FP32', [1, 64], decode(request.json()))],
 *     });
 *
 * Throws TypeError for a member that is unknown (with the one it was likely meant to be), or of the wrong kind.
 */
export function defineHandler<M extends ModelTypes = ModelTypes, C extends ModelTypes = M>(handler: Handler<M, C>): DefinedHandler {
  checkHandler(handler);
  // What the compiler knew of the model's tensors is known only there; whoever calls the methods checks at run time.
  return Object.defineProperty(handler, BRAND, { value: true }) as unknown as DefinedHandler;
}

/** Recognised by brand: a bundled handler brings a copy of this function along. */
export function isDefinedHandler(value: unknown): value is DefinedHandler {
  return typeof value === 'object' && value !== null && (value as Record<PropertyKey, unknown>)[BRAND] === true;
}

type Check = (value: unknown, what: string) => void;

const MEMBERS: Readonly<Record<keyof Handler, Check>> = {
  inputs: checkDeclaration,
  outputs: checkDeclaration,
  accepts: checkMediaTypes,
  isIdempotent: checkBoolean,
  isPure: checkBoolean,
  load: checkFunction,
  preprocess: checkFunction,
  predict: checkFunction,
  postprocess: checkFunction,
  explain: checkFunction,
  unload: checkFunction,
};

function checkHandler(handler: unknown): void {
  if (typeof handler !== 'object' || handler === null || Array.isArray(handler)) {
    throw new TypeError(`defineHandler: expected an object with methods such as preprocess, got ${describeValue(handler)}`);
  }
  const isPlain = Object.getPrototypeOf(handler) === Object.prototype || Object.getPrototypeOf(handler) === null;
  // An instance of a class may hold what it likes beside the members; its methods are its prototype's.
  const names = isPlain ? Object.keys(handler) : Object.getOwnPropertyNames(Object.getPrototypeOf(handler));
  for (const name of names) {
    if (Object.hasOwn(MEMBERS, name) || (!isPlain && name === 'constructor')) continue;
    const meant = suggestMember(name, Object.keys(MEMBERS));
    if (meant !== undefined) throw new TypeError(`defineHandler: unknown member ${JSON.stringify(name)}, did you mean ${meant}?`);
    if (isPlain) throw new TypeError(`defineHandler: unknown member ${JSON.stringify(name)}, expected ${Object.keys(MEMBERS).join(', ')}`);
  }
  for (const [name, check] of Object.entries(MEMBERS)) {
    const value = (handler as Record<string, unknown>)[name];
    if (value !== undefined) check(value, `defineHandler: ${name}`);
  }
}

function checkFunction(value: unknown, what: string): void {
  if (typeof value !== 'function') throw new TypeError(`${what} must be a function, got ${describeValue(value)}`);
}

function checkBoolean(value: unknown, what: string): void {
  if (typeof value !== 'boolean') throw new TypeError(`${what} must be true or false, got ${describeValue(value)}`);
}

const MEDIA_RANGE = /^([\w!#$&^.+-]+\/([\w!#$&^.+-]+|\*)|\*\/\*)$/;

function checkMediaTypes(value: unknown, what: string): void {
  if (!Array.isArray(value)) throw new TypeError(`${what} must be an array of media types such as "image/png", got ${describeValue(value)}`);
  for (const entry of value as readonly unknown[]) {
    if (typeof entry === 'string' && MEDIA_RANGE.test(entry)) continue;
    throw new TypeError(`${what} must hold media types such as "image/png" or "image/*", got ${describeValue(entry)}`);
  }
}

function checkDeclaration(value: unknown, what: string): void {
  if (!Array.isArray(value)) throw new TypeError(`${what} must be an array of { name, datatype, shape }, got ${describeValue(value)}`);
  const names = new Set<string>();
  for (const [index, entry] of (value as readonly unknown[]).entries()) {
    const at = `${what}[${index}]`;
    if (typeof entry !== 'object' || entry === null) throw new TypeError(`${at} must be { name, datatype, shape }, got ${describeValue(entry)}`);
    const { name, datatype, shape } = entry as Readonly<Record<string, unknown>>;
    if (typeof name !== 'string' || name === '') throw new TypeError(`${at}.name must be text, got ${describeValue(name)}`);
    if (names.has(name)) throw new TypeError(`${at}.name must be unique, got ${JSON.stringify(name)} twice`);
    names.add(name);
    if (typeof datatype !== 'string' || !isDatatype(datatype)) {
      throw new TypeError(`${at}.datatype (${JSON.stringify(name)}) must be a datatype such as FP32, got ${describeValue(datatype)}`);
    }
    if (!Array.isArray(shape) || !shape.every(isDimension)) {
      throw new TypeError(`${at}.shape (${JSON.stringify(name)}) must be an array of sizes, -1 for one that varies, got ${describeValue(shape)}`);
    }
  }
}

function isDimension(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= -1;
}
