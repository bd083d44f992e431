// DIR of onnxruntime-node: puts ONNX Runtime's CUDA provider beside its library, from PyPI's wheel of the same version, checked against the sum below.
import { createHash } from 'node:crypto';
import { createWriteStream, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import yauzl from 'yauzl';

const VERSION = '1.30.0';
/** What PyPI says of the wheel for CPython 3.11 on x86-64; all wheels of a version hold the same libraries. */
const WHEEL =
  'https://files.pythonhosted.org/packages/ea/71/b225bd559a718f6cefb058d4f4c4c95e556543f47d4be0e81819681ac347/onnxruntime_gpu-1.30.0-cp311-cp311-manylinux_2_28_x86_64.whl';
const SHA256 = '4fbf0c5d7b5fb99266c2e8a802e3e64af68bdc383e0f3c7349b985f1087eedaa';
const LIBRARIES = ['libonnxruntime_providers_shared.so', 'libonnxruntime_providers_cuda.so'];

const [dir] = process.argv.slice(2);
const { version } = JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8'));
if (version !== VERSION)
  throw new Error(`Cannot add the CUDA provider: expected onnxruntime-node ${VERSION}, got ${version}; name its wheel and check sum here`);
if (process.arch !== 'x64') throw new Error(`Cannot add the CUDA provider: expected x64, got ${process.arch}`);

const [abi] = readdirSync(join(dir, 'bin'));
const target = join(dir, 'bin', abi, 'linux', process.arch);
const wheel = Buffer.from(await (await fetch(WHEEL)).arrayBuffer());
const sum = createHash('sha256').update(wheel).digest('hex');
if (sum !== SHA256) throw new Error(`Cannot add the CUDA provider: expected SHA-256 ${SHA256} of ${WHEEL}, got ${sum}`);

const zip = await promisify(yauzl.fromBuffer)(wheel, { lazyEntries: true });
const open = promisify(zip.openReadStream.bind(zip));
const missing = new Set(LIBRARIES);
await new Promise((resolve, reject) => {
  zip.on('entry', (entry) => {
    const name = entry.fileName.split('/').at(-1);
    const next = missing.delete(name) ? open(entry).then((stream) => pipeline(stream, createWriteStream(join(target, name)))) : Promise.resolve();
    next.then(() => zip.readEntry(), reject);
  });
  zip.on('end', resolve);
  zip.on('error', reject);
  zip.readEntry();
});
if (missing.size > 0) throw new Error(`Cannot add the CUDA provider: expected ${[...missing].join(' and ')} in ${WHEEL}`);
