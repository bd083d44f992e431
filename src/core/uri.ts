/** True for what names a place in storage, as `s3://bucket/model` does: not a path. */
export function isUri(value: string): boolean {
  return /^[a-z][a-z0-9+.-]+:\/\//i.test(value);
}
