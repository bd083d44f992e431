// The floor: the least code that serves an ONNX model over HTTP, with nothing checked and nothing else to do. What the product costs is told against it.
//     node floor.mjs MODEL.onnx PORT [THREADS]
// Any GET gives the model's metadata, any POST an answer: in JSON, or raw behind JSON when the request is (Inference-Header-Content-Length).
import { createServer } from 'node:http';
import { InferenceSession, Tensor } from 'onnxruntime-node';

const [modelPath, port, threads = '1'] = process.argv.slice(2);
const session = await InferenceSession.create(modelPath, { intraOpNumThreads: Number(threads), interOpNumThreads: 1 });
const DATATYPES = { float32: 'FP32', int64: 'INT64' };

const describe = (tensors) =>
  tensors.map(({ name, type, shape }) => ({ name, datatype: DATATYPES[type], shape: shape.map((dimension) => (dimension > 0 ? dimension : -1)) }));
const metadata = JSON.stringify({
  name: 'floor',
  versions: [],
  platform: '',
  inputs: describe(session.inputMetadata),
  outputs: describe(session.outputMetadata),
});

async function run(inputs) {
  const feeds = {};
  for (const { name, shape, data } of inputs) feeds[name] = new Tensor('float32', data, shape);
  const results = await session.run(feeds);
  return session.outputNames.map((name) => ({ name, ...pick(results[name]) }));
}

function pick({ type, dims, data }) {
  return { datatype: DATATYPES[type], shape: dims, data };
}

async function answerJson(body) {
  const { inputs } = JSON.parse(body);
  const outputs = await run(inputs.map((input) => ({ ...input, data: Float32Array.from(input.data) })));
  for (const output of outputs) output.data = output.datatype === 'INT64' ? Array.from(output.data, Number) : Array.from(output.data);
  return { chunks: [JSON.stringify({ model_name: 'floor', outputs })], headers: { 'content-type': 'application/json' } };
}

async function answerBinary(body, headerLength) {
  const { inputs } = JSON.parse(body.subarray(0, headerLength));
  let at = headerLength;
  const outputs = await run(
    inputs.map((input) => {
      const bytes = body.subarray(at, (at += input.parameters.binary_data_size));
      const data =
        bytes.byteOffset % 4 === 0
          ? new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
          : new Float32Array(new Uint8Array(bytes).buffer);
      return { ...input, data };
    }),
  );
  const raw = outputs.map(({ data }) => Buffer.from(data.buffer, data.byteOffset, data.byteLength));
  for (const [index, output] of outputs.entries()) {
    delete output.data;
    output.parameters = { binary_data_size: raw[index].length };
  }
  const head = Buffer.from(JSON.stringify({ model_name: 'floor', outputs }));
  return { chunks: [head, ...raw], headers: { 'content-type': 'application/octet-stream', 'inference-header-content-length': head.length } };
}

createServer((request, response) => {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', async () => {
    if (request.method === 'GET') {
      response.writeHead(200, { 'content-type': 'application/json' }).end(metadata);
      return;
    }
    const body = parts.length === 1 ? parts[0] : Buffer.concat(parts);
    const headerLength = request.headers['inference-header-content-length'];
    const { chunks, headers } = headerLength === undefined ? await answerJson(body) : await answerBinary(body, Number(headerLength));
    response.writeHead(200, { ...headers, 'content-length': chunks.reduce((sum, chunk) => sum + Buffer.byteLength(chunk), 0) });
    response.cork();
    for (const chunk of chunks) response.write(chunk);
    response.end();
    response.uncork();
  });
}).listen(Number(port), '127.0.0.1');
