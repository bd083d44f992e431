/**
 *     npm run bench -- [case…] [--json FILE] [--docs FILE] [--strict] [--quick]
 *
 * Starts real servers, loads them in turn and tells ratios. Cases: digits, liveness, memory, cancel, handler, transformer,
 * cold-start, download; all without a name. A goal that is not met
 * prints FAIL, and makes the exit code 1 with --strict; so does always a case that cannot be measured.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { runCancelCase } from './cancel-case.ts';
import { runColdStartCase } from './cold-start-case.ts';
import { runDigitsCase } from './digits-case.ts';
import { runDownloadCase } from './download-case.ts';
import { FULL_EFFORT, QUICK_EFFORT, type BenchEffort } from './effort.ts';
import { runHandlerCase } from './handler-case.ts';
import { runLivenessCase } from './liveness-case.ts';
import { runMemoryCase } from './memory-case.ts';
import { describeMachine, isMet, renderCase, renderDocument, type CaseReport } from './report.ts';
import { runTransformerCase } from './transformer-case.ts';

const CASES: Readonly<Record<string, (effort: BenchEffort) => Promise<CaseReport>>> = {
  digits: runDigitsCase,
  liveness: runLivenessCase,
  memory: runMemoryCase,
  cancel: runCancelCase,
  handler: runHandlerCase,
  transformer: runTransformerCase,
  'cold-start': runColdStartCase,
  download: runDownloadCase,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'string' }, docs: { type: 'string' }, strict: { type: 'boolean' }, quick: { type: 'boolean' } },
});
const names = positionals.length === 0 ? Object.keys(CASES) : positionals;
const unknown = names.filter((name) => !(name in CASES));
if (unknown.length > 0) throw new Error(`No such case: ${unknown.join(', ')}; there are ${Object.keys(CASES).join(', ')}`);

const cases: CaseReport[] = [];
for (const name of names) {
  try {
    const report = await CASES[name]?.(values.quick === true ? QUICK_EFFORT : FULL_EFFORT);
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
if (values.docs !== undefined) writeFileSync(values.docs, renderDocument(report));
if (values.strict === true && cases.some(({ goals }) => !goals.every(isMet))) process.exitCode = 1;
