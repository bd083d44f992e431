// Says hello as a child of another build would.
import { Socket } from 'node:net';
import { encodeFrame } from '../../../dist/executor/frame.js';

const socket = new Socket({ fd: 3, readable: true, writable: true });
for (const chunk of encodeFrame({ kind: 'hello', model: 0, request: 0 }, { build: 'another', pid: process.pid })) socket.write(chunk);
socket.resume();
