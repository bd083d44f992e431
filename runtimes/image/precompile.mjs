// MAIN MODEL REQUEST: starts the server, asks it once and waits until what V8 compiled of it is kept beside it, where every later start finds it.
// Then again with the model in a process of its own, for that process's part.
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';

const [main, model, request] = process.argv.slice(2);
const COMPILED = join(dirname(main), 'compiled');
const FLAGS = [
  '--model_name=model',
  `--model_dir=${model}`,
  '--host=127.0.0.1',
  '--http_port=0',
  '--grpc_port=0',
  '--log_format=json',
  '--lame_duck_seconds=0',
];
const TIMEOUT_MS = 120_000;

await startAndAsk('--isolation=inline', 1);
await startAndAsk('--isolation=process', 2);

/** Resolves when the server has ended and `files` files are kept. */
async function startAndAsk(isolation, files) {
  const server = spawn(process.execPath, [main, 'serve', ...FLAGS, isolation], { stdio: ['ignore', 'inherit', 'pipe'] });
  const ended = new Promise((resolve) => server.once('close', resolve));
  createInterface({ input: server.stderr }).on('line', (line) => {
    process.stderr.write(`${line}\n`);
    if (line.includes('"message":"Serving"')) void ask(JSON.parse(line).httpUrl);
  });
  const late = setTimeout(() => server.kill('SIGKILL'), TIMEOUT_MS);
  // A second after the first answer.
  const poll = setInterval(() => kept() >= files && server.kill('SIGTERM'), 100);
  await ended;
  clearTimeout(late);
  clearInterval(poll);
  if (kept() < files) throw new Error(`Cannot precompile with ${isolation}: expected ${String(files)} files in ${COMPILED}, got ${String(kept())}`);
}

async function ask(url) {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${url}/v2/models/model/infer`, { method: 'POST', headers, body: readFileSync(request) });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`Cannot precompile: expected an answer from ${url}, got ${String(answer.status)} ${text}`);
}

function kept() {
  return existsSync(COMPILED) ? readdirSync(COMPILED).filter((name) => name.endsWith('.bin')).length : 0;
}
