// `npm start`: makes the checkout ready, then serves the example of handwritten digits in this very process, so that signals reach the server itself.
// `npm start -- --http_port=9000` adds options; one of the user's replaces the same one of ours.
//
// CommonJS for the reason given in src/main.cts: nothing may use libuv's thread pool before its size is set.
'use strict';
const { spawnSync } = require('node:child_process');
const { join } = require('node:path');

const ROOT = join(__dirname, '..');
const MAIN = join(ROOT, 'dist/main.cjs');
const DEFAULTS = ['--model_name=digits', `--model_dir=${join(ROOT, 'examples/digits/model')}`, '--print_example', '--lame_duck_seconds=0'];

const setup = spawnSync(process.execPath, [join(__dirname, 'setup.mjs')], { stdio: 'inherit' });
if (setup.status !== 0) process.exit(setup.status ?? 1);

const given = process.argv.slice(2);
const names = new Set(given.map(nameOf));
// npm passes no signal on: it ends alone, and the server would stay.
const parent = process.ppid;
setInterval(() => {
  if (process.ppid !== parent) process.kill(process.pid, 'SIGTERM');
}, 500).unref();

process.argv = [process.execPath, MAIN, 'serve', ...DEFAULTS.filter((flag) => !names.has(nameOf(flag))), ...given];
require(MAIN);

function nameOf(flag) {
  return flag.split('=', 1)[0].replaceAll('-', '_');
}
