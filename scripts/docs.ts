/**
 * Writes the generated tables of README.md between their markers, and the descriptors of protos/; with `--check` it changes nothing and fails when they are
 * stale.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ERROR_TABLE } from '../src/core/errors.ts';
import { COMPATIBILITY_FLAGS, CONFIG_FILE_OPTION, flagOf, type Option, type Section } from '../src/options/index.ts';
import { SECTIONS } from '../src/settings.ts';
import { METRIC_TABLE } from '../src/telemetry/index.ts';
import { renderDescriptors } from './descriptors.ts';

const TABLES: Readonly<Record<string, () => string>> = { options: renderOptionTable, errors: renderErrorTable, metrics: renderMetricTable };

/** One table for each section, then KServe's flags that are no options here. */
export function renderOptionTable(): string {
  const configuration: Section = { title: 'Configuration', options: { configFile: CONFIG_FILE_OPTION } };
  const sections = [...Object.values<Section>(SECTIONS), configuration].map(({ title, options }) =>
    table([title, 'Default', 'Meaning'], Object.values(options).map(optionRow)),
  );
  const compatibility = COMPATIBILITY_FLAGS.map(({ name, standsFor, reason }) => [
    code(flagOf(name)),
    standsFor === undefined ? 'ignored' : `taken as ${code(flagOf(standsFor))} unless that is given`,
    reason,
  ]);
  return [...sections, table(["KServe's flag", 'Here', 'Why'], compatibility)].join('\n');
}

function optionRow(option: Option): string[] {
  const also = [
    ...(option.flags ?? []).map((spelling) => code(flagOf(spelling))),
    ...(option.env ?? []).map((variable) => `variable ${code(variable)}`),
  ];
  const fallback = option.required ? 'required' : option.default === undefined ? '' : code(option.secret ? '***' : String(option.default));
  return [
    code(`${flagOf(option.name)}=${option.schema.metavar}`),
    fallback,
    also.length === 0 ? option.doc : `${option.doc} (also ${also.join(', ')})`,
  ];
}

export function renderErrorTable(): string {
  const rows = Object.entries(ERROR_TABLE).map(([reason, { http, grpc, retryable }]) => [
    code(reason),
    `${http}${retryable ? ' with Retry-After' : ''}`,
    grpc ?? '',
  ]);
  return table(['Reason', 'HTTP', 'gRPC'], rows);
}

export function renderMetricTable(): string {
  return table(
    ['Metric', 'Type', 'Labels', 'Meaning'],
    METRIC_TABLE.map(({ name, type, labels, help }) => [code(name), type, labels.map(code).join(', '), help]),
  );
}

/** The text with what stands between `<!-- name:begin -->` and `<!-- name:end -->` replaced. Throws when it has no such markers. */
export function replaceBetweenMarkers(text: string, name: string, content: string): string {
  const [begin, end] = [`<!-- ${name}:begin -->`, `<!-- ${name}:end -->`];
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`Cannot find ${begin} and ${end} in this order`);
  return `${text.slice(0, from + begin.length)}\n\n${content}\n${text.slice(to)}`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`;
  return line(head) + line(head.map(() => '---')) + rows.map(line).join('');
}

function code(text: string): string {
  return `\`${text}\``;
}

function renderTables(written: string): string {
  let fresh = written;
  for (const [name, render] of Object.entries(TABLES)) fresh = replaceBetweenMarkers(fresh, name, render());
  return fresh;
}

async function main(isCheck: boolean): Promise<number> {
  const files: readonly (readonly [string, (written: string) => string | Promise<string>])[] = [
    ['README.md', renderTables],
    ['protos/descriptors.json', () => renderDescriptors(['health.proto', 'open_inference.proto'])],
  ];
  let code = 0;
  for (const [name, render] of files) {
    const path = fileURLToPath(new URL(`../${name}`, import.meta.url));
    const written = existsSync(path) ? readFileSync(path, 'utf8') : '';
    const fresh = await render(written);
    if (fresh === written) continue;
    if (!isCheck) {
      writeFileSync(path, fresh);
      continue;
    }
    console.error(`${name} is stale: run npm run docs`);
    code = 1;
  }
  return code;
}

const isProgram = process.argv[1] === fileURLToPath(import.meta.url);
if (isProgram) process.exitCode = await main(process.argv.includes('--check'));
