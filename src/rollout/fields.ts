type Fields = Readonly<Record<string, unknown>>;

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Of `from`, the fields that `shape` has, lists as a whole; what `from` lacks is left out. What was changed, as it was before or as it has become. */
export function pickFields(from: unknown, shape: unknown): Fields {
  const picked: Record<string, unknown> = {};
  if (!isFields(from) || !isFields(shape)) return picked;
  for (const [name, inner] of Object.entries(shape)) {
    if (!Object.hasOwn(from, name)) continue;
    picked[name] = isFields(inner) && isFields(from[name]) ? pickFields(from[name], inner) : from[name];
  }
  return picked;
}

/** Every field of `part` is in `whole` with the same value. */
export function hasFields(whole: unknown, part: unknown): boolean {
  if (isFields(part)) return isFields(whole) && Object.entries(part).every(([name, inner]) => hasFields(whole[name], inner));
  return isEqual(whole, part);
}

function isEqual(a: unknown, b: unknown): boolean {
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((each, index) => isEqual(each, b[index]));
  if (isFields(a) && isFields(b)) {
    const names = Object.keys(a);
    return names.length === Object.keys(b).length && names.every((name) => Object.hasOwn(b, name) && isEqual(a[name], b[name]));
  }
  return a === b;
}
