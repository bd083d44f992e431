import { readFileSync } from 'node:fs';
import { EXIT_OK, type Host } from './host.ts';

/** Of this package's own package.json, what commands read. */
export interface PackageManifest {
  readonly version: string;
  readonly engines: { readonly node: string };
  readonly optionalDependencies: { readonly tsx: string };
  readonly devDependencies: { readonly '@types/node': string; readonly jimp: string; readonly typescript: string };
}

/** src/cli and dist/cli lie equally deep. */
export function packageManifest(): PackageManifest {
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as PackageManifest;
}

export function packageVersion(): string {
  return packageManifest().version;
}

export function runVersion(_args: readonly string[], host: Host): Promise<number> {
  host.stdout.write(`kserve-node ${packageVersion()}\n`);
  return Promise.resolve(EXIT_OK);
}
