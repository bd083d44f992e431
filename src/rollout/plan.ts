import { readFileSync } from 'node:fs';
import { loadOptions, type Environment } from '../options/index.ts';
import { ROLLOUT_SECTIONS, type JobOptions, type JudgeOptions, type OutputOptions, type PaceOptions, type ServiceOptions } from './options.ts';

/** What the user wants, checked. */
export interface RolloutPlan {
  readonly name: string;
  readonly service: ServiceOptions;
  readonly pace: Omit<PaceOptions, 'steps'> & {
    /** Percent of the traffic, rising, the last of them 100. */
    readonly steps: readonly number[];
  };
  readonly judge: Omit<JudgeOptions, 'prometheusHeaders'> & { readonly prometheusHeaders: Readonly<Record<string, string>> };
  readonly output: OutputOptions;
  readonly job: JobOptions;
}

/** Reads the flags behind the verb, and variables; else all problems, one line each. */
export function readRolloutPlan(name: string, argv: readonly string[], env: Environment): RolloutPlan | { readonly problems: readonly string[] } {
  const loaded = loadOptions(ROLLOUT_SECTIONS, { argv, env, readFile: (path) => readFileSync(path, 'utf8') });
  if (!loaded.ok) return { problems: loaded.problems };
  const { service, pace, judge, output, job } = loaded.values;
  const problems: string[] = [];
  if (!/^[a-z]([-a-z0-9]*[a-z0-9])?$/.test(name)) problems.push(`expected the name of an InferenceService, got ${JSON.stringify(name)}`);
  if (service.file !== undefined && service.storageUri !== undefined) problems.push('--storage_uri: expected no --file beside it, got both');
  if (service.route !== undefined && !/^(httproute|virtualservice)\/[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(service.route)) {
    problems.push(`--route: expected httproute/NAME or virtualservice/NAME, got ${JSON.stringify(service.route)}`);
  }
  if (pace.checkMs > pace.intervalMs) problems.push('--check_interval: expected at most --interval, or no step would ever be judged');
  const steps = readSteps(pace.steps, problems);
  const prometheusHeaders = readHeaders(judge.prometheusHeaders, problems);
  return problems.length > 0 ? { problems } : { name, service, pace: { ...pace, steps }, judge: { ...judge, prometheusHeaders }, output, job };
}

function readSteps(written: string, problems: string[]): readonly number[] {
  const complaint = `--steps: expected a whole number from 1 to 99, or rising ones such as 1,5,25,100, got ${JSON.stringify(written)}`;
  const numbers = written.split(',').map((each) => (/^\s*\d{1,3}\s*$/.test(each) ? Number(each) : NaN));
  const [first = NaN] = numbers;
  const isRising = numbers.every((each, index) => each >= 1 && each <= 100 && each > (numbers[index - 1] ?? 0));
  if (!isRising) {
    problems.push(complaint);
    return [];
  }
  if (first === 100) {
    problems.push('--steps: expected a first step below 100: when the canary has all traffic there is nothing to compare it with');
    return [];
  }
  if (numbers.length > 1) return numbers.at(-1) === 100 ? numbers : [...numbers, 100];
  const steps: number[] = [];
  for (let weight = first; weight < 100; weight += first) steps.push(weight);
  return [...steps, 100];
}

function readHeaders(written: string | undefined, problems: string[]): Readonly<Record<string, string>> {
  if (written === undefined) return {};
  let headers: unknown;
  try {
    headers = JSON.parse(written);
  } catch {
    headers = undefined;
  }
  const isObject = typeof headers === 'object' && headers !== null && !Array.isArray(headers);
  const entries = isObject ? Object.entries(headers as Readonly<Record<string, unknown>>) : [];
  if (
    isObject &&
    entries.every((entry): entry is [string, string] => /^[\w-]+$/.test(entry[0]) && typeof entry[1] === 'string' && !/[\r\n]/.test(entry[1]))
  ) {
    return Object.fromEntries(entries);
  }
  problems.push('--prometheus_headers: expected a JSON object of texts without line breaks');
  return {};
}
