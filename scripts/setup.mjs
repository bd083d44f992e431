// Makes a checkout ready to run with Node and npm alone: installs what package-lock.json names and builds dist/, each only when it is not there or
// no longer fits. Quiet when there is nothing to do.
//
// Several may run at once (`npm start` beside `npm test`): one works, the others wait for it.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const MODULES = join(ROOT, 'node_modules');
const DIST = join(ROOT, 'dist');
const INSTALL_STAMP = join(MODULES, '.kserve-node-install');
const BUILD_STAMP = join(DIST, '.build-stamp');
/** npm's own record of what lies in node_modules, written when an installation is complete. */
const HIDDEN_LOCKFILE = join(MODULES, '.package-lock.json');

const LOCK_WAIT_MS = 10 * 60_000;
const LOCK_POLL_MS = 200;

if (!isInstalled() || !isBuilt()) {
  withLock(() => {
    if (!isInstalled()) install();
    if (!isBuilt()) build();
  });
}

function isInstalled() {
  const stamp = readIfThere(INSTALL_STAMP);
  return stamp === undefined ? adoptInstallation() : stamp === installStamp();
}

function installStamp() {
  const [major] = process.versions.node.split('.');
  return hash([`node ${major} ${process.platform} ${process.arch}`, readFileSync(join(ROOT, 'package-lock.json'))]);
}

/** True, and stamped, when somebody ran `npm ci` or `npm install` by hand and it fits the lockfile. */
function adoptInstallation() {
  const hidden = readIfThere(HIDDEN_LOCKFILE);
  if (hidden === undefined) return false;
  const { packages: installed } = JSON.parse(hidden);
  const { packages: locked } = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8'));
  for (const [path, { version, optional }] of Object.entries(locked)) {
    if (path !== '' && !optional && installed[path]?.version !== version) return false;
  }
  for (const [path, { version }] of Object.entries(installed)) {
    if (locked[path]?.version !== version) return false;
  }
  writeFileSync(INSTALL_STAMP, installStamp());
  return true;
}

function install() {
  say('Installing dependencies (npm ci) …');
  // Gone first: an installation that breaks off must not look complete.
  rmSync(INSTALL_STAMP, { force: true });
  rmSync(HIDDEN_LOCKFILE, { force: true });
  // --include=dev: the compiler is needed whatever NODE_ENV says.
  const args = ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error', '--update-notifier=false'];
  const cli = process.env.npm_execpath;
  const isNpm = cli !== undefined && basename(cli) === 'npm-cli.js' && existsSync(cli);
  if (isNpm) run('npm ci', process.execPath, [cli, ...args]);
  else run('npm ci', 'npm', args, { shell: process.platform === 'win32' });
  writeFileSync(INSTALL_STAMP, installStamp());
}

function isBuilt() {
  return readIfThere(BUILD_STAMP) === buildStamp();
}

/** Content, not dates: a checkout gives files new dates. */
function buildStamp() {
  const files = ['package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json', 'scripts/bundle.mjs', 'scripts/bundled-module.cjs'];
  for (const entry of readdirSync(join(ROOT, 'src'), { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) files.push(join(entry.parentPath ?? entry.path, entry.name).slice(ROOT.length));
  }
  files.sort();
  return hash(files.flatMap((file) => [file, readFileSync(join(ROOT, file))]));
}

/** Builds beside dist/ and swaps: whoever runs from dist/ never sees half of it. */
function build() {
  say('Building …');
  const stamp = buildStamp();
  const workspace = join(MODULES, '.kserve-node-build');
  const [fresh, old] = [join(workspace, 'fresh'), join(workspace, 'old')];
  rmSync(workspace, { recursive: true, force: true });
  mkdirSync(workspace, { recursive: true });
  run('tsc', process.execPath, [join(MODULES, 'typescript/bin/tsc'), '-p', join(ROOT, 'tsconfig.build.json'), '--outDir', fresh]);
  run('bundle', process.execPath, [join(ROOT, 'scripts/bundle.mjs'), fresh]);
  writeFileSync(join(fresh, basename(BUILD_STAMP)), stamp);
  if (existsSync(DIST)) renameSync(DIST, old);
  renameSync(fresh, DIST);
  rmSync(workspace, { recursive: true, force: true });
}

/** What the tools say goes to stderr: stdout belongs to the program that runs afterwards. */
function run(what, command, args, options = {}) {
  const { status, error, signal } = spawnSync(command, args, { cwd: ROOT, stdio: ['ignore', 2, 2], ...options });
  if (status !== 0) fail(`Cannot make the checkout ready: ${what} ended with ${error?.message ?? signal ?? `exit code ${status}`}`);
}

/**
 * The lock is a file that names its owner. It lies outside the checkout, because installing empties node_modules. One whose owner is gone is taken
 * away by renaming it, which only one of several waiters can do.
 */
function withLock(work) {
  const path = join(tmpdir(), `kserve-node-setup-${process.getuid?.() ?? 0}-${hash([ROOT]).slice(0, 16)}.lock`);
  const owner = `${process.pid} ${Date.now()}`;
  const waitsUntil = Date.now() + LOCK_WAIT_MS;
  for (let isFirst = true; !acquire(path, owner); isFirst = false) {
    if (Date.now() > waitsUntil) fail(`Cannot make the checkout ready: another set-up holds ${path} for more than ${LOCK_WAIT_MS / 60_000} minutes`);
    if (isFirst) say('Waiting for another set-up of this checkout …');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOCK_POLL_MS);
  }
  // Also when `fail` ends the process or the work throws.
  process.once('exit', () => {
    if (readIfThere(path) === owner) rmSync(path, { force: true });
  });
  work();
}

function acquire(path, owner) {
  try {
    writeFileSync(path, owner, { flag: 'wx' });
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
  }
  const holder = readIfThere(path);
  if (holder === undefined || isAlive(holder, path)) return false;
  const aside = `${path}.${process.pid}`;
  try {
    renameSync(path, aside);
    // Somebody else was quicker and this is their new lock: give it back.
    if (readIfThere(aside) !== holder && !existsSync(path)) renameSync(aside, path);
    else rmSync(aside, { force: true });
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
  return false;
}

function isAlive(holder, path) {
  const pid = Number(holder.split(' ')[0]);
  // Not written yet, unless it stays so.
  if (!Number.isInteger(pid) || pid <= 0) return Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0) < 5000;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function hash(parts) {
  const digest = createHash('sha256');
  for (const part of parts) digest.update(part).update('\0');
  return digest.digest('hex');
}

function readIfThere(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function say(text) {
  process.stderr.write(`${text}\n`);
}

function fail(text) {
  say(text);
  process.exit(1);
}
