import { didYouMean } from './nearest.ts';
import { ENV_PREFIX, variableOf, type Option } from './section.ts';
import type { Given, Source } from './source.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** Our own variables. An empty one counts as not set; one that no option has is a problem. */
export function readEnvironment(env: Environment, options: readonly Option[]): Source {
  const given = new Map<string, Given>();
  const known = new Map(options.map((option) => [variableOf(option.name), option.name]));
  const problems: string[] = [];
  for (const [variable, value] of Object.entries(env)) {
    if (!variable.startsWith(ENV_PREFIX) || value === undefined || value === '' || isServiceLink(variable, value)) continue;
    const name = known.get(variable);
    if (name === undefined) problems.push(`unknown variable ${variable}${didYouMean(variable, known.keys())}`);
    else given.set(name, { value, origin: variable });
  }
  return { given, problems };
}

/** Variables of other systems (Knative's PORT, KServe's KSERVE_LOGLEVEL), first come first served. */
export function readForeignEnvironment(env: Environment, options: readonly Option[]): Source {
  const given = new Map<string, Given>();
  for (const option of options) {
    for (const variable of option.env ?? []) {
      const value = env[variable];
      if (value !== undefined && value !== '' && !given.has(option.name)) given.set(option.name, { value, origin: variable });
    }
  }
  return { given, problems: [] };
}

const SERVICE_LINK = /_SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$/;

/**
 * Kubernetes puts variables for every Service of the namespace into each container: a Service named `kserve-node-http` brings
 * KSERVE_NODE_HTTP_PORT=tcp://10.0.0.1:80. Nobody meant them for us.
 */
function isServiceLink(variable: string, value: string): boolean {
  return SERVICE_LINK.test(variable) || (variable.endsWith('_PORT') && /^(tcp|udp|sctp):\/\//.test(value));
}
