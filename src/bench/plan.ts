import { loadOptions } from '../options/index.ts';
import { BENCH_SECTIONS, type LoadOptions, type ResultOptions, type TargetOptions } from './options.ts';

export type Protocol = NonNullable<TargetOptions['protocol']>;

/** One measurement: so many requests under way, or so many a second. */
export type Step = { readonly concurrency: number; readonly rate?: never } | { readonly rate: number; readonly concurrency?: never };

/** What the user wants, checked. Exactly one of `url` and `modelDir` is there. */
export interface BenchPlan {
  readonly target: Omit<TargetOptions, 'protocol' | 'headers' | 'shape'> & {
    readonly protocol: Protocol;
    /** Names in lower case. */
    readonly headers: Readonly<Record<string, string>>;
    readonly shapes: ReadonlyMap<string, readonly number[]>;
  };
  readonly load: LoadOptions;
  readonly steps: readonly Step[];
  readonly result: Omit<ResultOptions, 'maxErrorRatio'> & { readonly maxErrorRatio: number };
  /** For a server of ours: what stood behind `--`. */
  readonly serverArgs: readonly string[];
}

const DEFAULT_CONCURRENCY = '1,2,4,8,16';
const MAX_CONCURRENCY = 10_000;
const MAX_RATE = 1_000_000;
const MAX_STEPS = 100;

/** Reads the command line behind the verb; else all problems, one line each. */
export function readPlan(args: readonly string[]): BenchPlan | { readonly problems: readonly string[] } {
  const end = args.indexOf('--');
  const argv = end < 0 ? args : args.slice(0, end);
  const serverArgs = end < 0 ? [] : args.slice(end + 1);
  const loaded = loadOptions(BENCH_SECTIONS, { argv, env: {}, readFile: () => '{}' });
  if (!loaded.ok) return { problems: loaded.problems };
  const { target, load, result } = loaded.values;
  const problems: string[] = [];
  const attempt = <T>(read: () => T, instead: T): T => {
    try {
      return read();
    } catch (error) {
      problems.push(error instanceof Error ? error.message : String(error));
      return instead;
    }
  };
  const protocol = target.protocol ?? (/^grpcs?:/i.test(target.url ?? '') ? 'grpc' : 'rest');
  const plan: BenchPlan = {
    target: {
      ...target,
      protocol,
      headers: attempt(() => readHeaders(target.headers), {}),
      shapes: attempt(() => readShapes(target.shape), new Map<string, readonly number[]>()),
    },
    load,
    steps: attempt(() => readSteps(load), []),
    result: { ...result, maxErrorRatio: attempt(() => readShare(result.maxErrorRatio), 0) },
    serverArgs,
  };
  problems.push(...findContradictions(plan));
  return problems.length > 0 ? { problems } : plan;
}

function readSteps({ concurrency, rate }: LoadOptions): readonly Step[] {
  if (concurrency !== undefined && rate !== undefined)
    throw new Error('--rate: expected no --concurrency beside it, got both: a loop is open or closed');
  if (rate !== undefined) return readNumbers('rate', rate, MAX_RATE, false).map((each) => ({ rate: each }));
  return readNumbers('concurrency', concurrency ?? DEFAULT_CONCURRENCY, MAX_CONCURRENCY, true).map((each) => ({ concurrency: each }));
}

function readNumbers(flag: string, written: string, max: number, isWhole: boolean): readonly number[] {
  const numbers = written.split(',').map((each) => (/^\s*\d+(\.\d+)?\s*$/.test(each) ? Number(each) : NaN));
  const isRight = numbers.every((each) => each > 0 && each <= max && (!isWhole || Number.isInteger(each)));
  const kind = isWhole ? 'whole numbers from 1' : 'numbers above 0 and up';
  if (!isRight) throw new Error(`--${flag}: expected ${kind} to ${max}, such as 1,2,4, got ${JSON.stringify(written)}`);
  if (numbers.length > MAX_STEPS) throw new Error(`--${flag}: expected at most ${MAX_STEPS} numbers, got ${numbers.length}`);
  return numbers;
}

function readShare(written: string): number {
  const share = /^\d+(\.\d+)?$/.test(written) ? Number(written) : NaN;
  if (share <= 1) return share;
  throw new Error(`--max_error_ratio: expected a number from 0 to 1, got ${JSON.stringify(written)}`);
}

function readShapes(written: string | undefined): ReadonlyMap<string, readonly number[]> {
  const shapes = new Map<string, readonly number[]>();
  for (const part of written === undefined ? [] : written.split(';')) {
    const [, name, dimensions] = /^\s*(.+):\s*(\d+(?:\s*,\s*\d+)*)?\s*$/.exec(part) ?? [];
    if (name === undefined) throw new Error(`--shape: expected NAME:DIM,DIM,… such as image:1,3,224,224, got ${JSON.stringify(part)}`);
    shapes.set(name, dimensions === undefined ? [] : dimensions.split(',').map(Number));
  }
  return shapes;
}

function readHeaders(written: string | undefined): Readonly<Record<string, string>> {
  if (written === undefined) return {};
  const complaint = '--headers: expected a JSON object of texts without line breaks';
  let headers: unknown;
  try {
    headers = JSON.parse(written);
  } catch (error) {
    throw new Error(complaint, { cause: error });
  }
  if (typeof headers !== 'object' || headers === null || Array.isArray(headers)) throw new Error(complaint);
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]: [string, unknown]) => {
      if (typeof value !== 'string' || /[\r\n]/.test(value) || !/^[\w-]+$/.test(name)) throw new Error(complaint);
      return [name.toLowerCase(), value];
    }),
  );
}

function findContradictions({ target, serverArgs }: BenchPlan): readonly string[] {
  const { url, modelDir, protocol, request, shapes } = target;
  const problems: string[] = [];
  if ((url === undefined) === (modelDir === undefined)) {
    problems.push(`expected one of --url and --model_dir, got ${url === undefined ? 'neither' : 'both'}`);
  }
  if (url !== undefined) problems.push(...problemsOfUrl(url, protocol));
  if (serverArgs.length > 0 && modelDir === undefined) problems.push('what follows -- goes to a server of ours: give --model_dir with it');
  if (protocol === 'http' && (request === undefined || url === undefined)) problems.push('--protocol=http: expected --url and --request with it');
  if (request !== undefined && !['rest', 'v1', 'http'].includes(protocol)) {
    problems.push(`--request: expected --protocol rest, v1 or http beside it, got ${protocol}: its messages are made from the metadata`);
  }
  if (request !== undefined && shapes.size > 0) problems.push('--shape: expected no --request beside it, got both');
  return problems;
}

function problemsOfUrl(text: string, protocol: Protocol): readonly string[] {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^(https?|grpcs?):$/.test(url.protocol) || url.hostname === '') {
    return [`--url: expected http://, https:// or grpc:// and a host, got ${JSON.stringify(text)}`];
  }
  const isGrpc = protocol.startsWith('grpc');
  if (!isGrpc && url.protocol.startsWith('grpc')) return [`--protocol: expected grpc or grpc-typed for ${text}, got ${protocol}`];
  return [];
}
