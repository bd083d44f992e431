// Removes from DIR what no server in a Linux container reads: the engine's libraries of other systems (240 MB), source maps, types, documentation, and, where
// Node reads TypeScript itself, the compiler that it would be read with.
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const [dir] = process.argv.slice(2);
const UNREAD = /\.(map|md|d\.ts|d\.cts|d\.mts)$/;

for (const entry of readdirSync(dir, { recursive: true, withFileTypes: true })) {
  const path = join(entry.parentPath, entry.name);
  if (entry.isFile() && UNREAD.test(entry.name)) rmSync(path);
}

const engine = join(dir, 'onnxruntime-node/bin');
for (const abi of existsSync(engine) ? readdirSync(engine) : []) {
  for (const platform of readdirSync(join(engine, abi))) {
    if (platform !== 'linux') rmSync(join(engine, abi, platform), { recursive: true });
  }
  for (const arch of readdirSync(join(engine, abi, 'linux'))) {
    if (arch !== process.arch) rmSync(join(engine, abi, 'linux', arch), { recursive: true });
  }
}

const [major, minor] = process.versions.node.split('.').map(Number);
const readsTypeScript = major > 22 || (major === 22 && minor >= 18);
for (const name of readsTypeScript ? ['tsx', 'esbuild', '@esbuild'] : []) rmSync(join(dir, name), { recursive: true, force: true });
