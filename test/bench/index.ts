/**
 *     npm run bench -- [case…] [--json FILE] [--docs FILE] [--rounds N] [--seconds N] [--hold COMMAND] [--strict] [--quick]
 *
 * Starts real servers, loads them in turn and tells ratios. Without a name all cases run. A goal that is not met prints FAIL, and makes the exit code 1
 * with --strict; so does always a case that cannot be measured. --docs replaces the chapters of the cases that ran and leaves the others as they are.
 * --hold is for machines that others use: a command that runs another one while it has the machine, such as "flock /tmp/machine.lock"; every round of a
 * comparison runs in it.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { runCancelCase } from './cancel-case.ts';
import { runColdStartCase } from './cold-start-case.ts';
import { runConcurrencyCase } from './concurrency-case.ts';
import { runConvCase } from './conv-case.ts';
import { runDigitsCase } from './digits-case.ts';
import { runDigitsPeersGrpcCase, runDigitsPeersRestCase } from './digits-peers-case.ts';
import { runDownloadCase } from './download-case.ts';
import { FULL_EFFORT, QUICK_EFFORT, type BenchEffort } from './effort.ts';
import { runHandlerCase } from './handler-case.ts';
import { createHold } from './hold.ts';
import { createIdentityCase } from './identity-case.ts';
import { runLivenessCase } from './liveness-case.ts';
import { runMemoryCase, runSoakMemoryCase } from './memory-case.ts';
import { runOverloadCase } from './overload-case.ts';
import { describeMachine, isMet, mergeDocument, renderCase, type CaseReport } from './report.ts';
import { runTransformerCase } from './transformer-case.ts';

/** By name; `name-part` runs with `name`, too. */
const CASES: Readonly<Record<string, (effort: BenchEffort) => Promise<CaseReport>>> = {
  digits: runDigitsCase,
  'digits-peers-rest': runDigitsPeersRestCase,
  'digits-peers-grpc': runDigitsPeersGrpcCase,
  'identity-json': createIdentityCase('json'),
  'identity-binary': createIdentityCase('binary'),
  'identity-grpc': createIdentityCase('grpc'),
  conv: runConvCase,
  concurrency: runConcurrencyCase,
  overload: runOverloadCase,
  liveness: runLivenessCase,
  memory: runMemoryCase,
  'soak-memory': runSoakMemoryCase,
  cancel: runCancelCase,
  handler: runHandlerCase,
  transformer: runTransformerCase,
  'cold-start': runColdStartCase,
  download: runDownloadCase,
};

/** Names of several cases. */
const GROUPS: Readonly<Record<string, readonly string[]>> = {
  'digits-peers': ['digits-peers-rest', 'digits-peers-grpc'],
  identity: ['identity-json', 'identity-binary', 'identity-grpc'],
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'string' },
    docs: { type: 'string' },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    hold: { type: 'string' },
    strict: { type: 'boolean' },
    quick: { type: 'boolean' },
  },
});
const names = positionals.length === 0 ? Object.keys(CASES) : positionals.flatMap((name) => GROUPS[name] ?? [name]);
const unknown = names.filter((name) => !(name in CASES));
if (unknown.length > 0)
  throw new Error(`No such case: ${unknown.join(', ')}; there are ${[...Object.keys(CASES), ...Object.keys(GROUPS)].join(', ')}`);

const asked = values.quick === true ? QUICK_EFFORT : FULL_EFFORT;
const effort: BenchEffort = {
  ...asked,
  rounds: positive('rounds', values.rounds) ?? asked.rounds,
  seconds: positive('seconds', values.seconds) ?? asked.seconds,
  ...(values.hold === undefined ? {} : { hold: createHold(values.hold) }),
};

const cases: CaseReport[] = [];
for (const name of names) {
  try {
    const report = await CASES[name]?.(effort);
    if (report === undefined) continue;
    cases.push(report);
    console.log(`${renderCase(report)}\n`);
  } catch (error) {
    // What cannot be measured is no result, whether or not goals count; the other cases go on.
    console.log(`## ${name}\n\n- FAIL: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}

const report = { ...describeMachine(), command: ['npm run bench --', ...process.argv.slice(2)].join(' '), cases };
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`);
if (values.docs !== undefined) writeFileSync(values.docs, mergeDocument(existsSync(values.docs) ? readFileSync(values.docs, 'utf8') : '', report));
if (values.strict === true && cases.some(({ goals }) => !goals.every(isMet))) process.exitCode = 1;

function positive(flag: string, written: string | undefined): number | undefined {
  if (written === undefined) return undefined;
  const number = Number(written);
  if (number > 0 && Number.isFinite(number)) return number;
  throw new Error(`--${flag}: expected a number above 0, got ${JSON.stringify(written)}`);
}
