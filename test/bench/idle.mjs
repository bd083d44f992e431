// A bare node:http server that only says that it lives: the yardstick for the product's own liveness.
//     node idle.mjs PORT
import { createServer } from 'node:http';

createServer((request, response) => {
  request.resume();
  request.on('end', () => {
    response.writeHead(200, { 'content-type': 'application/json' }).end('{"live":true}');
  });
}).listen(Number(process.argv[2]), '127.0.0.1');
