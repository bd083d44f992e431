import type { Happening, RolloutState } from '../rollout/index.ts';
import type { Host } from './host.ts';

/** Shows a rollout as it goes: a table that replaces itself on a terminal, else a line of JSON for everything that happens. */
export function createRolloutView(
  host: Host,
  output: 'auto' | 'table' | 'json',
): { readonly show: (state: RolloutState, happenings: readonly Happening[]) => void; readonly end: () => void } {
  const isTable = output === 'table' || (output === 'auto' && host.stdout.isTTY === true);
  let lines = 0;
  let last: RolloutState | undefined;
  const draw = (): void => {
    if (last === undefined) return;
    const text = renderRollout(last, Date.now());
    host.stdout.write(`${lines === 0 ? '' : `\u001b[${lines}A\u001b[J`}${text}`);
    lines = text.split('\n').length - 1;
  };
  const timer = isTable ? setInterval(draw, 1000) : undefined;
  return {
    show: (state, happenings) => {
      const isLook = state.look !== undefined && state.look.at !== last?.look?.at;
      last = state;
      if (isTable) {
        draw();
        return;
      }
      for (const { reason, message } of happenings) host.stdout.write(line({ event: reason, message, ...factsOf(state) }));
      if (happenings.length === 0 && isLook)
        host.stdout.write(line({ event: 'Look', message: state.look.reason, verdict: state.look.kind, ...factsOf(state) }));
    },
    end: () => {
      clearInterval(timer);
    },
  };
}

function line(fields: object): string {
  return `${JSON.stringify({ time: new Date().toISOString(), ...fields })}\n`;
}

function factsOf({ name, namespace, phase, weight, judgedWeight, stable, canary }: RolloutState): object {
  return { service: `${namespace}/${name}`, phase, weight, judged_weight: judgedWeight, stable, canary };
}

const BAR = 20;

/** The whole rollout as a table, one row for each step. */
export function renderRollout(state: RolloutState, now: number): string {
  const { namespace, name, mode, phase, stable, canary, steps, weight, passed, look, reason, isPaused } = state;
  const filled = Math.round((weight / 100) * BAR);
  const rows = steps.map((step, index) => {
    const done = passed.find((each) => each.weight === step);
    const isCurrent = index === state.step && (phase === 'judging' || phase === 'shifting');
    const what = done?.figures ?? (isCurrent ? (phase === 'shifting' ? 'traffic moves' : (look?.reason ?? 'collecting')) : '');
    return `  ${String(step).padStart(3)} %  ${(done === undefined ? (isCurrent ? 'now' : '') : 'passed').padEnd(7)}${what}\n`;
  });
  const age = `${Math.max(0, Math.round((now - state.since) / 1000))} s`;
  return (
    `${namespace}/${name} (${mode}): ${phase.replaceAll('_', ' ')}${isPaused ? ', paused' : ''} for ${age}\n` +
    `  ${'█'.repeat(filled)}${'░'.repeat(BAR - filled)} ${weight} % ${canary ?? 'canary'}, ${100 - weight} % ${stable}\n` +
    rows.join('') +
    (reason === undefined ? '' : `  ${reason}\n`)
  );
}
