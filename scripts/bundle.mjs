// Bundles the program of each process role into one file, dist/bundle/ROLE-HASH.cjs, from what the compiler has written to dist/. The libraries of other
// people stay outside, in node_modules; those that a start needs are few. `dist/` is left importable as it is: users import its modules, and the program
// falls back to them when somebody runs the compiler alone.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const TEMPLATE = fileURLToPath(new URL('bundled-module.cjs', import.meta.url));

/** What serving needs seldom or late is taken from the compiler's files: reading what V8 has compiled takes time for all that is in the bundle. */
const NOT_SERVING = /^\.\/(inspect|types|init|pack|download|bench|rollout|manifest)\.js$/;

const ROLES = [
  { role: 'cli', entry: 'cli/index.js', module: 'cli-module.cjs', importer: 'importCli', leavesOut: NOT_SERVING },
  { role: 'child', entry: 'executor/child.js', module: 'child-module.cjs', importer: 'importChild' },
];

/** Rewrites dist/ so that its programs start from bundles. */
export async function bundle(dist) {
  mkdirSync(join(dist, 'bundle'), { recursive: true });
  for (const { role, entry, module, importer, leavesOut } of ROLES) {
    const code = await bundleRole(dist, entry, leavesOut);
    const file = `${role}-${createHash('sha256').update(code).digest('hex').slice(0, 12)}.cjs`;
    writeFileSync(join(dist, 'bundle', file), code);
    const loader = readFileSync(TEMPLATE, 'utf8').replace('$ROLE', role).replace('$BUNDLE', file).replace('$IMPORT', importer);
    writeFileSync(join(dist, module), loader);
  }
}

async function bundleRole(dist, entry, leavesOut) {
  const { outputFiles } = await build({
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
  });
  return outputFiles[0].text;
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
