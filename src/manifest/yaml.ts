/** A field with what is to be said of it: on the line before, as a comment. */
export interface Explained {
  readonly comment: string;
  readonly value: Yaml;
}

export type Yaml = string | number | boolean | readonly Yaml[] | { readonly [field: string]: Yaml | Explained | undefined };

export function explained(comment: string, value: Yaml): Explained {
  return { comment, value };
}

/** Documents with `---` between them. Fields that are undefined are left out. Written by hand for the sake of comments, which no library keeps. */
export function renderYaml(documents: readonly Yaml[]): string {
  return documents.map((document) => `${lines(document, '').join('\n')}\n`).join('---\n');
}

function lines(value: Yaml, indent: string): readonly string[] {
  if (isList(value)) return value.flatMap((item) => renderItem(item, indent));
  if (typeof value !== 'object') return [`${indent}${scalar(value)}`];
  return Object.entries(value).flatMap(([name, field]) => (field === undefined ? [] : renderField(name, field, indent)));
}

function renderField(name: string, field: Yaml | Explained, indent: string): readonly string[] {
  const [value, comment] = isExplained(field) ? [field.value, field.comment] : [field, undefined];
  const comments = comment === undefined ? [] : comment.split('\n').map((line) => `${indent}# ${line}`);
  const key = `${indent}${scalar(name)}:`;
  if (typeof value !== 'object') return [...comments, `${key} ${scalar(value)}`];
  if (isEmpty(value)) return [...comments, `${key} ${isList(value) ? '[]' : '{}'}`];
  return [...comments, key, ...lines(value, `${indent}  `)];
}

/** A list's item: the first of its lines takes the dash. */
function renderItem(item: Yaml, indent: string): readonly string[] {
  if (typeof item === 'object' && isEmpty(item)) return [`${indent}- ${isList(item) ? '[]' : '{}'}`];
  const inner = lines(item, `${indent}  `);
  const first = inner.findIndex((line) => !line.trimStart().startsWith('#'));
  return inner.map((line, index) => (index === first ? `${indent}- ${line.slice(indent.length + 2)}` : index < first ? line.slice(2) : line));
}

function isList(value: Yaml): value is readonly Yaml[] {
  return Array.isArray(value);
}

function isEmpty(value: object): boolean {
  return Object.values(value).every((field) => field === undefined);
}

function isExplained(field: Yaml | Explained): field is Explained {
  return typeof field === 'object' && !Array.isArray(field) && Object.hasOwn(field, 'comment') && Object.hasOwn(field, 'value');
}

/** Plain where YAML 1.1 and 1.2 both read the same text; else in quotes as JSON has them, which is YAML, too. */
function scalar(value: string | number | boolean): string {
  if (typeof value !== 'string') return String(value);
  const isPlain =
    /^[A-Za-z/{][\w./@{}-]*( [\w./@{}-]+)*$/.test(value) && !value.startsWith('{') && !/^(true|false|yes|no|on|off|null|y|n)$/i.test(value);
  const isUri = /^[a-z][a-z0-9+.-]*:\/\/[\w./@-]+$/.test(value);
  return isPlain || isUri ? value : JSON.stringify(value);
}
