// Stands in dist/ for cli-module.cjs and child-module.cjs once the build has bundled what they import (scripts/bundle.mjs). Runs the bundle in BUNDLE, with
// what V8 compiled of it in an earlier process where that is at hand: then a start neither reads nor compiles most of the source.
//
// dist/compiled/ holds one file for each V8, its flags and the processor; `cachedDataVersionTag` tells them apart. V8 itself looks at versions and lengths
// only, so the file says which source it belongs to and carries a check sum. A file that does not fit, or cannot be read or written, costs time and nothing else.
'use strict';
const { readFileSync } = require('node:fs');
const { join } = require('node:path');
const { cachedDataVersionTag } = require('node:v8');
const { Script } = require('node:vm');
const { crc32 } = require('node:zlib');

const ROLE = '$ROLE';
const FILE = join(__dirname, 'bundle', '$BUNDLE');
const COMPILED = join(__dirname, 'compiled');
/** Magic number, check sums of the source and of what follows. */
const HEAD_BYTES = 12;
const MAGIC = 0x6b6e6331;
/** For other flags or versions of Node that ran from here; the oldest go. */
const MOST_FILES = 12;

let script;
let sourceSum;
let isKept = false;

exports['$IMPORT'] = async () => {
  const source = readFileSync(FILE);
  sourceSum = crc32(source);
  const cachedData = readCompiled();
  // ASCII alone, as bundled: no need to look for anything else.
  const text = `(function (exports, require, module, __filename, __dirname, $import) {${source.latin1Slice()}\n})`;
  script = new Script(text, { filename: FILE, cachedData });
  isKept = cachedData !== undefined && script.cachedDataRejected === false;
  const module = { exports: {} };
  script.runInThisContext()(module.exports, require, module, FILE, join(__dirname, 'bundle'), (specifier) => import(specifier));
  return module.exports;
};

/** Does nothing where a fitting file is in place. */
exports.keepCompiled = () => {
  if (isKept || script === undefined) return;
  isKept = true;
  // Not while answers are under way: it takes some milliseconds.
  setTimeout(() => {
    try {
      keep();
    } catch {
      // The package lies on a file system that is not ours to write to.
    }
  }, 1000).unref();
};

function pathOfCompiled() {
  return join(COMPILED, `${ROLE}-${process.arch}-${cachedDataVersionTag().toString(16)}.bin`);
}

function readCompiled() {
  try {
    const file = readFileSync(pathOfCompiled());
    const data = file.subarray(HEAD_BYTES);
    const fits = file.readUInt32LE(0) === MAGIC && file.readUInt32LE(4) === sourceSum && file.readUInt32LE(8) === crc32(data);
    return fits ? data : undefined;
  } catch {
    return undefined;
  }
}

/** By a rename, so that nobody reads half a file. Only below our own directory, which belongs to whoever may replace the program itself. */
function keep() {
  const { mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } = require('node:fs');
  const data = script.createCachedData();
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt32LE(MAGIC, 0);
  head.writeUInt32LE(sourceSum, 4);
  head.writeUInt32LE(crc32(data), 8);
  mkdirSync(COMPILED, { recursive: true });
  const temporary = join(COMPILED, `.${process.pid}`);
  try {
    writeFileSync(temporary, Buffer.concat([head, data]));
    renameSync(temporary, pathOfCompiled());
  } finally {
    rmSync(temporary, { force: true });
  }
  const files = readdirSync(COMPILED).map((name) => ({ path: join(COMPILED, name), time: statSync(join(COMPILED, name)).mtimeMs }));
  files.sort((a, b) => b.time - a.time);
  for (const { path } of files.slice(MOST_FILES)) rmSync(path, { force: true });
}
