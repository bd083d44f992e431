import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';

/** A ratio that is judged. */
export interface Goal {
  readonly what: string;
  readonly ratio: number;
  readonly limit: number;
  readonly isAtLeast: boolean;
}

export interface CaseReport {
  readonly title: string;
  /** What was done, one paragraph: model, load, rounds. */
  readonly method: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly goals: readonly Goal[];
}

export interface BenchReport {
  readonly date: string;
  readonly command: string;
  readonly machine: string;
  readonly versions: string;
  readonly cases: readonly CaseReport[];
}

export function isMet({ ratio, limit, isAtLeast }: Goal): boolean {
  return isAtLeast ? ratio >= limit : ratio <= limit;
}

export function describeMachine(): Pick<BenchReport, 'date' | 'machine' | 'versions'> {
  const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
    dependencies: Record<string, string>;
  };
  let commit = '';
  try {
    commit = ` at ${execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()}`;
  } catch {
    // Not a checkout.
  }
  const [cpu] = cpus();
  return {
    date: new Date().toISOString().slice(0, 10),
    machine: `${cpus().length} cores (${cpu?.model.trim() ?? 'unknown'}), ${(totalmem() / 2 ** 30).toFixed(0)} GiB, Linux ${release()}`,
    versions: `kserve-node ${manifest.version}${commit}, Node ${process.versions.node}, onnxruntime-node ${manifest.dependencies['onnxruntime-node'] ?? '?'}`,
  };
}

export function renderCase(report: CaseReport): string {
  const goals = report.goals.map((goal) => {
    const bound = `${goal.isAtLeast ? 'at least' : 'at most'} ${goal.limit}`;
    return `- ${isMet(goal) ? 'ok' : 'FAIL'}: ${goal.what}: ${goal.ratio.toFixed(2)} (goal: ${bound})`;
  });
  return [`## ${report.title}`, '', report.method, '', ...renderTable(report), '', ...goals].join('\n');
}

const INTRODUCTION = `# Benchmarks

Each chapter is written by the command that stands in it; figures are of the machine named there and mean nothing on another. What is judged are the ratios: each compares
servers that ran on the same machine, round by round in turn. A figure is the median of the rounds, with the least and the greatest. \`npm run bench:peers\` makes the other servers.
`;

/** What stands behind it in a chapter was written by people, and stays when the chapter is measured anew. */
const END_OF_CHAPTER = '<!-- what people say of it -->';

/** `document` with the chapters of these cases replaced, or added at its end. */
export function mergeDocument(document: string, report: BenchReport): string {
  const chapters = document.split(/^(?=## )/m).slice(1);
  for (const each of report.cases) {
    const index = chapters.findIndex((chapter) => chapter.startsWith(`## ${each.title}\n`));
    const said = chapters[index]?.split(END_OF_CHAPTER)[1]?.trim() ?? '';
    const chapter = [
      renderCase(each),
      '',
      `${report.date}, ${report.machine}. ${report.versions}. \`${report.command}\``,
      '',
      END_OF_CHAPTER,
      '',
      said,
    ].join('\n');
    if (index < 0) chapters.push(chapter);
    else chapters[index] = chapter;
  }
  return `${[INTRODUCTION.trim(), ...chapters.map((chapter) => chapter.trim())].join('\n\n')}\n`;
}

/** A table that reads well in a terminal and is Markdown, too. */
function renderTable({ columns, rows }: CaseReport): string[] {
  const widths = columns.map((column, index) => Math.max(column.length, ...rows.map((row) => (row[index] ?? '').length)));
  const line = (cells: readonly string[]): string => `| ${widths.map((width, index) => (cells[index] ?? '').padEnd(width)).join(' | ')} |`;
  return [line(columns), `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`, ...rows.map(line)];
}
