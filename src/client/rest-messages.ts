import type { ModelIndexEntry, ModelMetadata, ServerMetadata, TensorMetadata } from '../core/metadata.ts';
import { invalidResponse } from './inference-error.ts';
import { toIndexEntry, toTensorMetadata } from './metadata-values.ts';
import type { RestReply } from './rest-call.ts';
import { parseJson } from './rest-errors.ts';

/** Readers of the small JSON replies. Each throws invalid_response naming the field that is not as the protocol says. */
export function readServerMetadata(value: unknown): ServerMetadata {
  const body = asRecord(value, 'server metadata');
  return { name: readString(body, 'name'), version: readString(body, 'version', ''), extensions: readStrings(body, 'extensions') };
}

export function readModelMetadata(value: unknown): ModelMetadata {
  const body = asRecord(value, 'model metadata');
  const properties = asRecord(body['properties'] ?? {}, 'properties');
  return {
    name: readString(body, 'name'),
    versions: readStrings(body, 'versions'),
    platform: readString(body, 'platform', ''),
    inputs: readList(body, 'inputs').map(readTensorMetadata),
    outputs: readList(body, 'outputs').map(readTensorMetadata),
    properties: Object.fromEntries(Object.keys(properties).map((key) => [key, readString(properties, key)])),
  };
}

export function readModelNames(value: unknown): readonly string[] {
  return readStrings(asRecord(value, 'list of models'), 'models');
}

export function readIndex(value: unknown): readonly ModelIndexEntry[] {
  if (!Array.isArray(value)) throw invalidResponse(`Cannot read the repository index: expected an array, got ${typeof value}`);
  return (value as readonly unknown[]).map((item) => {
    const entry = asRecord(item, 'repository index');
    return toIndexEntry(readString(entry, 'name'), readString(entry, 'version', ''), readString(entry, 'state', ''), readString(entry, 'reason', ''));
  });
}

/** Health replies may have no body: then their status alone counts. */
export function readFlag(reply: RestReply, flag: 'live' | 'ready'): boolean {
  if (reply.bytes.length === 0) return true;
  const value = asRecord(parseJson(reply), 'health')[flag];
  return value === undefined || value === true;
}

function readTensorMetadata(value: unknown): TensorMetadata {
  const body = asRecord(value, 'tensor metadata');
  const name = readString(body, 'name');
  const shape = readList(body, 'shape');
  if (!shape.every((dimension) => typeof dimension === 'number'))
    throw invalidResponse(`Cannot read the shape of tensor "${name}": expected numbers`);
  return toTensorMetadata(name, readString(body, 'datatype'), shape);
}

function asRecord(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Readonly<Record<string, unknown>>;
  throw invalidResponse(
    `Cannot read the ${what}: expected an object, got ${Array.isArray(value) ? 'an array' : value === null ? 'null' : typeof value}`,
  );
}

/** `fallback` stands for an absent field or null, where the protocol lets it be absent. */
function readString(body: Readonly<Record<string, unknown>>, field: string, fallback?: string): string {
  const value = body[field] ?? fallback;
  if (typeof value === 'string') return value;
  throw invalidResponse(`Cannot read field "${field}" of the response: expected text, got ${value === undefined ? 'nothing' : typeof value}`);
}

function readList(body: Readonly<Record<string, unknown>>, field: string): readonly unknown[] {
  const value = body[field] ?? [];
  if (Array.isArray(value)) return value as readonly unknown[];
  throw invalidResponse(`Cannot read field "${field}" of the response: expected an array, got ${typeof value}`);
}

function readStrings(body: Readonly<Record<string, unknown>>, field: string): readonly string[] {
  const list = readList(body, field);
  if (list.every((item) => typeof item === 'string')) return list;
  throw invalidResponse(`Cannot read field "${field}" of the response: expected texts only`);
}
