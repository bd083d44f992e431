// The floor: the least code that serves an ONNX model over HTTP, with nothing checked and nothing else to do. What the product costs is told against it.
//     node floor.mjs MODEL.onnx PORT
import { createServer } from 'node:http';
import { InferenceSession, Tensor } from 'onnxruntime-node';

const [modelPath, port] = process.argv.slice(2);
const session = await InferenceSession.create(modelPath);

async function infer(body) {
  const { inputs } = JSON.parse(body);
  const feeds = {};
  for (const { name, shape, data } of inputs) feeds[name] = new Tensor('float32', Float32Array.from(data), shape);
  const results = await session.run(feeds);
  const outputs = session.outputNames.map((name) => {
    const { type, dims, data } = results[name];
    return type === 'int64'
      ? { name, datatype: 'INT64', shape: dims, data: Array.from(data, Number) }
      : { name, datatype: 'FP32', shape: dims, data: Array.from(data) };
  });
  return JSON.stringify({ model_name: 'digits', outputs });
}

createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', async () => {
    const body = request.method === 'POST' ? await infer(Buffer.concat(chunks)) : '{"live":true}';
    response.writeHead(200, { 'content-type': 'application/json' }).end(body);
  });
}).listen(Number(port), '127.0.0.1');
