import { CONFIG_FILE_OPTION, type Sections } from './load.ts';
import { flagOf, type Option, type Section } from './section.ts';

const FLAG_COLUMNS = 44;
const LINE_COLUMNS = 110;

/** All options for a terminal, grouped by section: flag, meaning, default, aliases. */
export function renderHelp(sections: Sections, { hasConfigFile = true }: { readonly hasConfigFile?: boolean } = {}): string {
  const configuration: Section = { title: 'Configuration', options: { configFile: CONFIG_FILE_OPTION } };
  return [...Object.values(sections), ...(hasConfigFile ? [configuration] : [])].map(renderSection).join('\n');
}

function renderSection({ title, options }: Section): string {
  return `${title}:\n${Object.values(options).map(renderOption).join('')}`;
}

function renderOption(option: Option): string {
  const flag = `  ${flagOf(option.name)}=${option.schema.metavar}`;
  const lines = wrap(option.doc + facts(option), LINE_COLUMNS - FLAG_COLUMNS);
  const fits = flag.length < FLAG_COLUMNS - 1;
  const first = fits ? flag.padEnd(FLAG_COLUMNS) + (lines.shift() ?? '') : flag;
  return [first, ...lines.map((line) => ' '.repeat(FLAG_COLUMNS) + line)].join('\n') + '\n';
}

function facts(option: Option): string {
  const said = [
    ...(option.required ? ['required'] : []),
    ...(option.default === undefined ? [] : [`default ${option.secret ? '***' : String(option.default)}`]),
    ...(option.flags ?? []).map((spelling) => `also ${flagOf(spelling)}`),
    ...(option.env ?? []).map((variable) => `also variable ${variable}`),
  ];
  return said.length === 0 ? '' : ` (${said.join('; ')})`;
}

function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
