const USAGE: Readonly<Record<string, string>> = {
  serve: 'kserve-node serve --model_dir=DIR [--OPTION=VALUE …]',
  inspect: 'kserve-node inspect DIR [--json]',
  types: 'kserve-node types DIR [--out FILE]',
  init: 'kserve-node init NAME [--template predictor|transformer|explainer|image]',
  pack: 'kserve-node pack HANDLER [--out FILE]',
  version: 'kserve-node version',
  help: 'kserve-node help [COMMAND]',
};

const SERVE_NOTES = `Flags take - or _ in their names, --name=value or --name value. Each option is also the variable KSERVE_NODE_<NAME>
and a key of the config file; a flag wins over a variable, a variable over the file.
`;

/** Help on all commands, or on one of them; the options come from their declarations. */
export async function renderUsage(topic: string | undefined, verbs: Readonly<Record<string, { readonly summary: string }>>): Promise<string> {
  if (topic === undefined) return renderOverview(verbs);
  const head = `Usage: ${USAGE[topic] ?? `kserve-node ${topic}`}\n\n${verbs[topic]?.summary ?? ''}\n`;
  if (topic !== 'serve') return head;
  const [{ renderHelp }, { SECTIONS }] = await Promise.all([import('../options/index.ts'), import('../settings.ts')]);
  return `${head}\n${SERVE_NOTES}\n${renderHelp(SECTIONS)}`;
}

function renderOverview(verbs: Readonly<Record<string, { readonly summary: string }>>): string {
  const lines = Object.entries(verbs).map(([name, { summary }]) => `  ${(USAGE[name] ?? name).padEnd(56)}${summary}\n`);
  return `Serves machine learning models over the Open Inference Protocol.\n\nCommands:\n${lines.join('')}\n"kserve-node help serve" lists all options.\n`;
}
