export { MANIFEST_SECTIONS } from './options.ts';
export { FORMATS, readManifestPlan, type FoundModel, type ManifestPlan } from './plan.ts';
export { renderManifest } from './render.ts';
export { explained, renderYaml, type Explained, type Yaml } from './yaml.ts';
