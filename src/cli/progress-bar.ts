const BAR_CELLS = 30;

/** Takes the place of the terminal's current line; `done` from 0 to 1. */
export function renderBar(done: number): string {
  const cells = Math.round(done * BAR_CELLS);
  return `\r\u001b[K${'█'.repeat(cells)}${'░'.repeat(BAR_CELLS - cells)} ${Math.floor(done * 100)} %`;
}
