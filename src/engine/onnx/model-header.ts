import { open } from 'node:fs/promises';
import { isFixedCostNode, MOST_FIXED_COST_NODES } from './fixed-cost.ts';
import { mapKey } from './map-keys.ts';
import { bufferFields, ProtoReader, readVarints, type ProtoField } from './proto-reader.ts';

/** What a model's file says of itself outside its graph's weights; read without loading them. */
export interface ModelHeader {
  readonly irVersion: number;
  /** Operator sets by domain, `ai.onnx` for the default one. */
  readonly opsets: readonly { readonly domain: string; readonly version: number }[];
  readonly producerName: string;
  readonly producerVersion: string;
  readonly domain: string;
  readonly modelVersion: number;
  readonly description: string;
  readonly graphName: string;
  /** Custom properties, at most MAX_ENTRIES of them, texts cut to MAX_TEXT. */
  readonly metadata: readonly (readonly [key: string, value: string])[];
  /** Keys, in the order of columns, of outputs that ZipMap nodes make. */
  readonly mapKeys: ReadonlyMap<string, readonly (string | number)[]>;
  /** True when what a run costs is known to follow from the sizes of its inputs, whatever their values. */
  readonly hasFixedCost: boolean;
}

const MAX_TEXT = 1024;
const MAX_ENTRIES = 64;
/** Longer nodes (constants) and types are skipped. */
const MAX_MESSAGE = 1024 * 1024;

/** Field numbers of onnx.proto. */
const MODEL = {
  irVersion: 1,
  producerName: 2,
  producerVersion: 3,
  domain: 4,
  modelVersion: 5,
  description: 6,
  graph: 7,
  opset: 8,
  metadata: 14,
  functions: 25,
};
const GRAPH = { node: 1, name: 2, output: 12 };
const NODE = { output: 2, opType: 4, attribute: 5 };
const ATTRIBUTE = { ints: 8, strings: 9 };

interface Draft {
  irVersion: number;
  producerName: string;
  producerVersion: string;
  domain: string;
  modelVersion: number;
  description: string;
  graphName: string;
  graph: ProtoField | undefined;
  opsets: { domain: string; version: number }[];
  metadata: [string, string][];
  mapKeys: Map<string, (string | number)[]>;
  hasFixedCost: boolean;
  hasFunctions: boolean;
}

/** Reads the header of an `.onnx` file. Throws an Error that says why when it is no ModelProto, or has no graph. */
export async function readModelHeader(file: string): Promise<ModelHeader> {
  const handle = await open(file, 'r');
  try {
    const reader = new ProtoReader(handle, (await handle.stat()).size);
    const draft = await readModel(reader);
    if (draft.graph === undefined) throw new Error('it has no graph');
    await readGraph(reader, draft.graph, draft);
    return draft;
  } finally {
    await handle.close();
  }
}

async function readModel(reader: ProtoReader): Promise<Draft> {
  const draft: Draft = {
    irVersion: 0,
    producerName: '',
    producerVersion: '',
    domain: '',
    modelVersion: 0,
    description: '',
    graphName: '',
    graph: undefined,
    opsets: [],
    metadata: [],
    mapKeys: new Map(),
    hasFixedCost: false,
    hasFunctions: false,
  };
  for await (const field of reader.fields(0, reader.size)) {
    if (field.number === MODEL.irVersion) draft.irVersion = Number(field.value);
    else if (field.number === MODEL.modelVersion) draft.modelVersion = Number(BigInt.asIntN(64, field.value));
    else if (field.number === MODEL.graph) draft.graph = field;
    else if (field.number === MODEL.functions) draft.hasFunctions = true;
    else if (field.number === MODEL.producerName) draft.producerName = await readText(reader, field);
    else if (field.number === MODEL.producerVersion) draft.producerVersion = await readText(reader, field);
    else if (field.number === MODEL.domain) draft.domain = await readText(reader, field);
    else if (field.number === MODEL.description) draft.description = await readText(reader, field);
    else if (field.number === MODEL.opset && draft.opsets.length < MAX_ENTRIES) draft.opsets.push(parseOpset(await reader.bytes(field, MAX_MESSAGE)));
    else if (field.number === MODEL.metadata && draft.metadata.length < MAX_ENTRIES && field.end - field.start <= MAX_MESSAGE) {
      draft.metadata.push(parseEntry(await reader.bytes(field, MAX_MESSAGE)));
    }
  }
  return draft;
}

async function readGraph(reader: ProtoReader, graph: ProtoField, draft: Draft): Promise<void> {
  let hasMaps = false;
  for await (const field of reader.fields(graph.start, graph.end)) {
    if (field.number === GRAPH.name) draft.graphName = await readText(reader, field);
    if (field.number !== GRAPH.output || field.end - field.start > MAX_MESSAGE) continue;
    hasMaps ||= isMapSequence(await reader.bytes(field, MAX_MESSAGE));
  }
  draft.hasFixedCost = !draft.hasFunctions && (await isFixedCostGraph(reader, graph));
  if (!hasMaps) return;
  for await (const field of reader.fields(graph.start, graph.end)) {
    if (field.number !== GRAPH.node || field.end - field.start > MAX_MESSAGE) continue;
    const zipMap = parseZipMap(await reader.bytes(field, MAX_MESSAGE));
    if (zipMap !== undefined) draft.mapKeys.set(zipMap.output, zipMap.keys);
  }
}

/** Stops at the first node that says no. */
async function isFixedCostGraph(reader: ProtoReader, graph: ProtoField): Promise<boolean> {
  let nodes = 0;
  for await (const field of reader.fields(graph.start, graph.end)) {
    if (field.number !== GRAPH.node) continue;
    if (++nodes > MOST_FIXED_COST_NODES || field.end - field.start > MAX_MESSAGE) return false;
    const node = await reader.bytes(field, MAX_MESSAGE);
    if (!isFixedCostNode(bufferFields(node), (part) => textOf(node, part))) return false;
  }
  return true;
}

async function readText(reader: ProtoReader, field: ProtoField): Promise<string> {
  return (await reader.bytes(field, MAX_TEXT)).toString('utf8');
}

function textOf(message: Buffer, field: ProtoField): string {
  return message.toString('utf8', field.start, Math.min(field.end, field.start + MAX_TEXT));
}

function parseOpset(message: Buffer): { domain: string; version: number } {
  const opset = { domain: '', version: 0 };
  for (const field of bufferFields(message)) {
    if (field.number === 1) opset.domain = textOf(message, field);
    else if (field.number === 2) opset.version = Number(field.value);
  }
  return { domain: opset.domain === '' ? 'ai.onnx' : opset.domain, version: opset.version };
}

function parseEntry(message: Buffer): [key: string, value: string] {
  const entry: [string, string] = ['', ''];
  for (const field of bufferFields(message)) {
    if (field.number === 1) entry[0] = textOf(message, field);
    else if (field.number === 2) entry[1] = textOf(message, field);
  }
  return entry;
}

/** True for ValueInfoProto {name = 1, type = 2: TypeProto {sequence_type = 4: {elem_type = 1: TypeProto {map_type = 5}}}}. */
function isMapSequence(valueInfo: Buffer): boolean {
  const element = nested(nested(nested(valueInfo, 2), 4), 1);
  return nested(element, 5) !== undefined;
}

/** The message in the last field of that number; undefined when there is none. */
function nested(message: Buffer | undefined, number: number): Buffer | undefined {
  let found: Buffer | undefined;
  if (message === undefined) return found;
  for (const field of bufferFields(message)) if (field.number === number) found = message.subarray(field.start, field.end);
  return found;
}

/** Keys sorted as the map sorts them: numbers by value, texts by their bytes. */
function parseZipMap(message: Buffer): { output: string; keys: (string | number)[] } | undefined {
  let isZipMap = false;
  let output = '';
  const numbers: bigint[] = [];
  const texts: Buffer[] = [];
  for (const field of bufferFields(message)) {
    if (field.number === NODE.opType) isZipMap = textOf(message, field) === 'ZipMap';
    else if (field.number === NODE.output) output = textOf(message, field);
    else if (field.number === NODE.attribute) {
      const attribute = message.subarray(field.start, field.end);
      for (const part of bufferFields(attribute)) {
        if (part.number === ATTRIBUTE.ints) numbers.push(...readVarints(attribute, part).map((value) => BigInt.asIntN(64, value)));
        else if (part.number === ATTRIBUTE.strings) texts.push(attribute.subarray(part.start, part.end));
      }
    }
  }
  if (!isZipMap) return undefined;
  const keys =
    texts.length > 0 ? texts.sort((a, b) => a.compare(b)).map((text) => text.toString('utf8')) : numbers.sort((a, b) => (a < b ? -1 : 1)).map(mapKey);
  return { output, keys };
}
