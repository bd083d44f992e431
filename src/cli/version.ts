import { readFileSync } from 'node:fs';
import { EXIT_OK, type Host } from './host.ts';

/** The package's own version; src/cli and dist/cli lie equally deep. */
export function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { readonly version: string }).version;
}

export function runVersion(_args: readonly string[], host: Host): Promise<number> {
  host.stdout.write(`kserve-node ${packageVersion()}\n`);
  return Promise.resolve(EXIT_OK);
}
