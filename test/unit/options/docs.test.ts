import { describe, expect, it } from 'vitest';
import { renderErrorTable, renderMetricTable, renderOptionTable, replaceBetweenMarkers } from '../../../scripts/docs.ts';
import { ERROR_TABLE } from '../../../src/core/errors.ts';
import { COMPATIBILITY_FLAGS, type Section } from '../../../src/options/index.ts';
import { SECTIONS } from '../../../src/settings.ts';
import { METRIC_TABLE } from '../../../src/telemetry/index.ts';

/** Every row has as many cells as the head of its table. */
function expectWellFormed(markdown: string): void {
  for (const table of markdown.split('\n\n')) {
    const columns = table
      .trimEnd()
      .split('\n')
      .map((line) => line.replaceAll('\\|', '').split('|').length);
    expect(new Set(columns).size).toBe(1);
  }
}

describe('renderOptionTable', () => {
  it('has a row for every option and every flag of KServe', () => {
    const markdown = renderOptionTable();
    expectWellFormed(markdown);
    for (const section of Object.values<Section>(SECTIONS)) {
      expect(markdown).toContain(`| ${section.title} | Default | Meaning |`);
      for (const { name } of Object.values(section.options)) expect(markdown).toContain(`| \`--${name}=`);
    }
    for (const { name } of COMPATIBILITY_FLAGS) expect(markdown).toContain(`| \`--${name}\` |`);
  });

  it('shows value, default and aliases of an option', () => {
    expect(renderOptionTable()).toContain(
      '| `--http_port=INT` | `8080` | port for REST, and for gRPC beside it, 0 for any free one (also variable `PORT`) |',
    );
    expect(renderOptionTable()).toContain('| `--isolation=auto\\|inline\\|process` | `auto` |');
  });
});

describe('renderErrorTable and renderMetricTable', () => {
  it('have a row for every reason and every metric', () => {
    expectWellFormed(renderErrorTable());
    expectWellFormed(renderMetricTable());
    for (const [reason, { http }] of Object.entries(ERROR_TABLE)) expect(renderErrorTable()).toContain(`| \`${reason}\` | ${http}`);
    for (const { name, help } of METRIC_TABLE) expect(renderMetricTable()).toMatch(new RegExp(`\`${name}\`.*${help.slice(0, 10)}`));
  });
});

describe('replaceBetweenMarkers', () => {
  const text = 'a\n<!-- x:begin -->\nold\n<!-- x:end -->\nb\n';

  it('replaces what stands between, and again without a change', () => {
    const fresh = replaceBetweenMarkers(text, 'x', 'new\n');
    expect(fresh).toBe('a\n<!-- x:begin -->\n\nnew\n\n<!-- x:end -->\nb\n');
    expect(replaceBetweenMarkers(fresh, 'x', 'new\n')).toBe(fresh);
  });

  it('refuses a text without the markers', () => {
    expect(() => replaceBetweenMarkers(text, 'y', '')).toThrow('Cannot find <!-- y:begin --> and <!-- y:end --> in this order');
  });
});
