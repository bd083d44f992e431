/** Labels in PromQL with what is known put in: names of Kubernetes need no quoting. */
export function fillSelector(template: string, known: { readonly revision: string; readonly namespace: string; readonly name: string }): string {
  return template
    .replaceAll('$revision', () => known.revision)
    .replaceAll('$namespace', () => known.namespace)
    .replaceAll('$name', () => known.name);
}
