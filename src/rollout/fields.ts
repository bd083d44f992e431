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

/** All but one. */
export function omitField<T extends object, K extends keyof T>(fields: T, name: K): Omit<T, K> {
  const rest = { ...fields };
  delete rest[name];
  return rest;
}

/** `over` laid over `under`: maps field by field, everything else as a whole. */
export function mergeFields(under: unknown, over: unknown): Fields {
  if (!isFields(under)) return isFields(over) ? over : {};
  const merged: Record<string, unknown> = { ...under };
  if (!isFields(over)) return merged;
  for (const [name, inner] of Object.entries(over))
    merged[name] = isFields(inner) && isFields(merged[name]) ? mergeFields(merged[name], inner) : inner;
  return merged;
}

/**
 * The shape of the fields at `path` that a manager has applied, for `pickFields`, from the object's managedFields. An apply must name them again: what the same
 * manager leaves out is removed. Lists are taken as a whole.
 */
export function ownedShape(managedFields: unknown, manager: string, path: readonly string[]): Fields {
  const entries = Array.isArray(managedFields) ? (managedFields as readonly unknown[]) : [];
  const ours = entries.find((entry) => isFields(entry) && entry['manager'] === manager && entry['operation'] === 'Apply');
  let at: unknown = isFields(ours) ? ours['fieldsV1'] : undefined;
  for (const name of path) at = isFields(at) ? at[`f:${name}`] : undefined;
  return shapeFrom(at);
}

function shapeFrom(fields: unknown): Fields {
  if (!isFields(fields)) return {};
  const shape: Record<string, unknown> = {};
  for (const [key, inner] of Object.entries(fields)) {
    if (!key.startsWith('f:')) continue;
    const isMap = isFields(inner) && Object.keys(inner).some((name) => name.startsWith('f:'));
    shape[key.slice(2)] = isMap ? shapeFrom(inner) : true;
  }
  return shape;
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
