import { compare, FIGURE_COLUMNS, figureRow, ratioOf, withServers, type Contender } from './contenders.ts';
import { DIGITS } from './digits-model.ts';
import type { BenchEffort } from './effort.ts';
import { createWorkload } from './reference.ts';
import type { CaseReport } from './report.ts';
import { spreadOf } from './statistics.ts';

const [FEW, MANY] = [16, 64];
/** Rounds of one server differ by as much on a quiet machine. */
const NOISE = 0.03;

/** Whether more requests under way than the server has use for cost throughput, or fairness. */
export async function runConcurrencyCase(effort: BenchEffort): Promise<CaseReport> {
  const workload = await createWorkload(DIGITS.modelName, DIGITS.modelDir, DIGITS.modelPath, [1, 64]);
  return await withServers(workload, [], async ({ floor, inline, process }) => {
    const servers = [floor, inline, process];
    const contenders = servers.flatMap((server) =>
      [FEW, MANY].map((concurrency): Contender => ({ name: `${server.name}, c${concurrency}`, server, protocol: 'rest', concurrency })),
    );
    const figures = await compare(workload, contenders, effort);
    const goals = [1, 2].flatMap((place) => {
      const [few = [], many = []] = figures.slice(2 * place, 2 * place + 2);
      const name = servers[place]?.name ?? '';
      return [
        { what: `${name}, requests/s of c${MANY} by those of c${FEW}`, ratio: ratioOf('perSecond', many, few), limit: 1 - NOISE, isAtLeast: true },
        {
          what: `${name}, p99 of c${MANY} by its p50`,
          ratio: spreadOf(many.map(({ p50Ms, p99Ms }) => p99Ms / p50Ms)).median,
          limit: 4,
          isAtLeast: false,
        },
      ];
    });
    return {
      title: `concurrency: ${MANY} under way against ${FEW}`,
      method: `One digits row as JSON, from \`kserve-node bench\`; ${effort.rounds} rounds of ${effort.seconds} s in turn. Throughput may fall by ${NOISE * 100} %, the noise of a round.`,
      columns: FIGURE_COLUMNS,
      rows: contenders.map(({ name }, index) => figureRow(name, figures[index] ?? [])),
      goals,
    };
  });
}
