import { readFile, stat } from 'node:fs/promises';
import { ServingError } from '../core/errors.ts';

/** Rows of one input that stand for "feature unknown". */
export interface BackgroundTable {
  readonly rows: number;
  /** Values of one row. */
  readonly width: number;
  /** Row by row. */
  readonly values: Float64Array;
}

/** A background file: rows for one input each by name, or rows for whatever input is explained. */
export interface Background {
  readonly path: string;
  readonly byInput: ReadonlyMap<string, BackgroundTable>;
  readonly unnamed?: BackgroundTable;
}

const MAX_FILE_BYTES = 64 * 1024 * 1024;

/**
 * Reads a v2 request (`{"inputs":[{name, shape, data}]}`), a list of rows or `{"instances":[…]}` as JSON, or CSV of numbers with or without a line of
 * names. Missing values are null, "NaN" or an empty field. Throws ServingError with one line that names the option, the file and the fault.
 */
export async function readBackground(path: string): Promise<Background> {
  const text = await readText(path);
  try {
    return { path, ...parseBackground(text) };
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof RangeError) throw refuse(path, error.message);
    throw error;
  }
}

async function readText(path: string): Promise<string> {
  try {
    const { size } = await stat(path);
    if (size > MAX_FILE_BYTES) throw refuse(path, `expected at most ${MAX_FILE_BYTES / 1024 / 1024} MiB, got ${Math.ceil(size / 1024 / 1024)}`);
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error) throw refuse(path, error.message);
    throw error;
  }
}

function refuse(path: string, fault: string): ServingError {
  return new ServingError('invalid_request', `Cannot read --explainer_background ${path}: ${fault}`);
}

/** Throws SyntaxError for what no format is, RangeError for values that do not fit together. */
function parseBackground(text: string): Omit<Background, 'path'> {
  const start = text.trimStart()[0];
  if (start !== '{' && start !== '[') return { byInput: new Map(), unnamed: tableOf(readCsv(text)) };
  const json = JSON.parse(text) as unknown;
  if (Array.isArray(json)) return { byInput: new Map(), unnamed: tableOf(json.map(flatten)) };
  const { inputs, instances } = json as { readonly inputs?: unknown; readonly instances?: unknown };
  if (Array.isArray(instances)) return { byInput: new Map(), unnamed: tableOf(instances.map(flatten)) };
  if (!Array.isArray(inputs)) throw new RangeError('expected a field "inputs" or "instances" that is a list, got neither');
  return { byInput: new Map(inputs.filter((input) => !isBytes(input)).map(readInput)) };
}

/** Of a request with several inputs: there is nothing to explain about texts. */
function isBytes(input: unknown): boolean {
  return (input as { readonly datatype?: unknown } | null)?.datatype === 'BYTES';
}

function readInput(input: unknown, index: number): [string, BackgroundTable] {
  const { name, shape, data } = (input ?? {}) as { readonly name?: unknown; readonly shape?: unknown; readonly data?: unknown };
  const isShape = Array.isArray(shape) && shape.length > 0 && shape.every((size) => Number.isSafeInteger(size) && Number(size) > 0);
  if (typeof name !== 'string' || !isShape || !Array.isArray(data)) {
    throw new RangeError(`expected inputs[${index}] with name, shape of at least one row and data, got something else`);
  }
  const values = flatten(data);
  const rows = Number(shape[0]);
  const count = shape.reduce<number>((product, size) => product * Number(size), 1);
  if (values.length !== count)
    throw new RangeError(`expected ${count} values for shape [${shape.join(',')}] of input "${name}", got ${values.length}`);
  return [name, { rows, width: count / rows, values: Float64Array.from(values) }];
}

function flatten(value: unknown): number[] {
  if (Array.isArray(value)) return value.flatMap(flatten);
  if (typeof value === 'number') return [value];
  if (typeof value === 'boolean') return [Number(value)];
  if (value === null || value === 'NaN') return [NaN];
  throw new RangeError(`expected numbers, got ${JSON.stringify(value).slice(0, 64)}`);
}

function readCsv(text: string): number[][] {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '');
  // A first line without any number holds the names of the columns.
  const isHeader = lines.length > 1 && lines[0]?.split(',').every((field) => readField(field) === undefined);
  return lines.slice(isHeader ? 1 : 0).map((line) =>
    line.split(',').map((field) => {
      const value = readField(field);
      if (value === undefined) throw new RangeError(`expected JSON, or CSV of numbers, got "${line.slice(0, 64)}"`);
      return value;
    }),
  );
}

function readField(field: string): number | undefined {
  const text = field.trim();
  if (text === '' || /^nan$/i.test(text)) return NaN;
  const value = Number(text);
  return Number.isNaN(value) ? undefined : value;
}

function tableOf(rows: readonly (readonly number[])[]): BackgroundTable {
  const width = rows[0]?.length ?? 0;
  if (width === 0) throw new RangeError('expected at least one row of numbers, got none');
  const values = new Float64Array(rows.length * width);
  rows.forEach((row, index) => {
    if (row.length !== width) throw new RangeError(`expected ${width} values in every row, got ${row.length} in row ${index + 1}`);
    values.set(row, index * width);
  });
  return { rows: rows.length, width, values };
}
