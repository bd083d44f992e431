import { basename } from 'node:path';
import { KEYS_PARAMETER } from './map-keys.ts';
import type { ModelHeader } from './model-header.ts';

/** Longest value that is published, characters. */
const MAX_VALUE = 256;
/** Most custom properties that are published. */
const MAX_CUSTOM = 32;

/** Facts for people. `header` is absent for `.ort` files, which have no ModelProto. */
export function describeProperties(
  file: string,
  header: ModelHeader | undefined,
  binding: 'native' | 'node',
  provider: string,
): Readonly<Record<string, string>> {
  const properties = Object.create(null) as Record<string, string>;
  const add = (key: string, value: string): void => {
    if (value !== '') properties[key] = value.length > MAX_VALUE ? `${value.slice(0, MAX_VALUE)}…` : value;
  };
  add('file', basename(file));
  add('binding', binding);
  add('provider', provider);
  if (header === undefined) return properties;
  add('opset', describeOpsets(header.opsets));
  add('ir_version', String(header.irVersion));
  add('producer', `${header.producerName} ${header.producerVersion}`.trim());
  add('domain', header.domain);
  add('model_version', header.modelVersion === 0 ? '' : String(header.modelVersion));
  add('description', header.description);
  add('graph_name', header.graphName);
  for (const [key, value] of header.metadata.slice(0, MAX_CUSTOM)) add(`metadata.${key}`, value);
  for (const [output, keys] of header.mapKeys) add(`${KEYS_PARAMETER}.${output}`, JSON.stringify(keys));
  return properties;
}

/** `17, ai.onnx.ml 3`: the default operator set by its version alone, first. */
function describeOpsets(opsets: ModelHeader['opsets']): string {
  const texts = opsets.map(({ domain, version }) => (domain === 'ai.onnx' ? String(version) : `${domain} ${version}`));
  return [...new Set(texts)].sort().join(', ');
}
