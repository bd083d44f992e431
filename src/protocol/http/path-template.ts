/** An express path as people write it: `/v1/models/:model\\:predict` is `/v1/models/{model}:predict`. */
export function pathTemplate(path: string): string {
  return path.replace(/\\(.)|:(\w+)/g, (_, escaped: string | undefined, name: string) => escaped ?? `{${name}}`);
}
