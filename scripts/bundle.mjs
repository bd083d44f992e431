// Bundles the program of each process role into one file, dist/bundle/ROLE-HASH.cjs, from what the compiler has written to dist/. The libraries of other
// people stay outside, in node_modules; those that a start needs are few. `dist/` is left importable as it is: users import its modules, and the program
// falls back to them when somebody runs the compiler alone.
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const TEMPLATE = fileURLToPath(new URL('bundled-module.cjs', import.meta.url));

/** What serving needs seldom or late is taken from the compiler's files: reading what V8 has compiled takes time for all that is in the bundle. */
const NOT_SERVING = /^\.\/(inspect|types|init|pack|download|bench|rollout|manifest|s3-sdk)\.js$/;

const ROLES = [
  { role: 'cli', entry: 'cli/index.js', module: 'cli-module.cjs', importer: 'importCli', leavesOut: NOT_SERVING },
  { role: 'child', entry: 'executor/child.js', module: 'child-module.cjs', importer: 'importChild' },
];

/** Rewrites dist/ so that its programs start from bundles. */
export async function bundle(dist) {
  mkdirSync(join(dist, 'bundle'), { recursive: true });
  for (const { role, entry, module, importer, leavesOut } of ROLES) {
    const { outputFiles } = await build(bundling(dist, entry, leavesOut));
    writeFileSync(join(dist, module), writeBundle(dist, role, outputFiles[0].text, importer));
  }
  await bundleS3(dist);
}

const S3 = 'storage/s3-sdk.js';

/**
 * The S3 client, libraries and all, as a bundle of its own: importing its 570 files takes two to three times as long. The compiler's module takes it from
 * there and exports the same names.
 */
async function bundleS3(dist) {
  const { outputFiles, metafile } = await build({ ...bundling(dist, S3), packages: 'bundle', metafile: true });
  const [{ text: code }] = outputFiles;
  writeFileSync(join(dist, 's3-module.cjs'), writeBundle(dist, 's3', code, 'importS3'));
  const { names, licenses } = describeInputs(metafile, readFileSync(join(dist, S3), 'utf8'));
  writeFileSync(join(dist, 'bundle', 'LICENSES-s3.txt'), licenses);
  const from = `import { createRequire } from 'node:module';\nconst { importS3, keepCompiled } = createRequire(import.meta.url)('../s3-module.cjs');\n`;
  writeFileSync(join(dist, S3), `${from}export const { ${names} } = await importS3();\nkeepCompiled();\n`);
}

/** Names that the module exports, and the licenses of all packages whose files were bundled. */
function describeInputs({ inputs }, code) {
  const [, names = ''] = /export \{([^}]*)\}/.exec(code) ?? [];
  const packages = new Set(Object.keys(inputs).flatMap((path) => /^.*node_modules\/(?:@[^/]+\/)?[^./][^/]*(?=\/)/.exec(path) ?? []));
  const holders = new Map();
  for (const folder of [...packages].sort()) {
    const file = readdirSync(folder).find((name) => /^licen[sc]e/i.test(name));
    const text = file === undefined ? '' : readFileSync(join(folder, file), 'utf8').trim();
    const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    holders.set(text, [...(holders.get(text) ?? []), `${name} ${version} (${license})`]);
  }
  const licenses = [...holders].map(([text, names]) => `${names.join('\n')}\n\n${text}\n`);
  return { names: names.trim(), licenses: licenses.join('\n\n') };
}

/** Writes the bundle and returns the text of the module that runs it. */
function writeBundle(dist, role, code, importer) {
  const file = `${role}-${createHash('sha256').update(code).digest('hex').slice(0, 12)}.cjs`;
  writeFileSync(join(dist, 'bundle', file), code);
  return readFileSync(TEMPLATE, 'utf8').replace('$ROLE', role).replace('$BUNDLE', file).replace('$IMPORT', importer);
}

function bundling(dist, entry, leavesOut) {
  return {
    entryPoints: [join(dist, entry)],
    outfile: join(dist, 'bundle', basename(entry)),
    bundle: true,
    write: false,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    packages: 'external',
    charset: 'ascii',
    legalComments: 'none',
    logLevel: 'warning',
    define: { 'import.meta.url': '$moduleUrl' },
    banner: { js: `"use strict";const $urlOf = (path) => require('node:url').pathToFileURL(require('node:path').join(__dirname, '..', path)).href;` },
    plugins: [keepUrls(dist, leavesOut)],
  };
}

/** Modules find files of the package by their own place, which is where the compiler has put them, in a bundle too. */
function keepUrls(dist, leavesOut = /^$/) {
  return {
    name: 'keep-urls',
    setup(builder) {
      builder.onLoad({ filter: /\.js$/ }, ({ path }) => {
        const inside = relative(dist, path);
        if (inside.startsWith('..')) return undefined;
        const place = JSON.stringify(inside.split(sep).join('/'));
        const text = readFileSync(path, 'utf8');
        // esbuild replaces the expression (`define`), which may stand in a string, too.
        const code = text.includes('import.meta.url') ? `const $moduleUrl = $urlOf(${place});${text}` : text;
        // A script has no import(): what stays outside goes through that of the module which runs it.
        const folder = JSON.stringify(`${inside.split(sep).slice(0, -1).join('/')}/`);
        const contents = code.replaceAll(/\bimport\(\s*(['"])([^'"]*)\1\s*\)/g, (written, _, name) => {
          if (!name.startsWith('.')) return `$import(${JSON.stringify(name)})`;
          return leavesOut.test(name) ? `$import(new URL(${JSON.stringify(name)}, $urlOf(${folder})).href)` : written;
        });
        return { contents: contents.replaceAll(/(?<!\$)\bimport\((?!\s*['"]\.)/g, '$import('), loader: 'js' };
      });
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await bundle(process.argv[2]);
