import type * as WorkerThreads from 'node:worker_threads';
import { elementBytes, type Datatype } from './datatype.ts';
import { allocateData, dataByteLength, isBytesData, viewData, type DataOf, type Tensor } from './tensor.ts';

/** Below this size giving memory back by hand costs more than the collector does. */
const LEAST_BYTES = 1 << 14;

/** Small tensors may share storage with those of other requests; that above this size belongs to the tensors of one. */
const LEAST_TENSOR_BYTES = 1 << 18;

/** Memory of larger buffers goes back to the system. */
const MOST_KEPT_BYTES = 1 << 22;

/** Of all buffers that wait for their next use. */
const MOST_IDLE_BYTES = 1 << 24;

/** Sizes of messages are rounded up to a page, so that those of almost the same size share buffers. */
const PAGE_BYTES = 4096;

/** Given back and not in use, the youngest last. */
const idle: ArrayBuffer[] = [];
let idleBytes = 0;
const taken = new WeakSet<ArrayBufferLike>();

let closedPort: WorkerThreads.MessagePort | undefined;
let exchange: { readonly from: WorkerThreads.MessagePort; readonly receive: () => unknown } | undefined;

/**
 * A buffer of exactly `bytes`, which hold anything: large ones were in use before. Fresh memory of this size would be mapped and zeroed by the kernel page by page,
 * and the collector runs often when much of it is left to it. Who is done with the buffer calls `releaseBuffer`, or leaves it to the collector.
 */
export function takeBuffer(bytes: number): ArrayBuffer {
  if (bytes < LEAST_TENSOR_BYTES || bytes > MOST_KEPT_BYTES) return new ArrayBuffer(bytes);
  const buffer = takeIdle(bytes) ?? new ArrayBuffer(bytes);
  taken.add(buffer);
  return buffer;
}

/** Room for `bytes` of a message, at the end of a buffer, so that a tensor that ends with the message is aligned. Holds anything. */
export function takeTail(bytes: number): Uint8Array<ArrayBuffer> {
  const buffer = takeBuffer(Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES);
  return new Uint8Array(buffer, buffer.byteLength - bytes, bytes);
}

/** Elements of a tensor that will all be written: like `allocateData`, which zeroes them. */
export function takeData<D extends Exclude<Datatype, 'BYTES'>>(datatype: D, count: number): DataOf[D] {
  const bytes = count * elementBytes(datatype);
  return bytes < LEAST_TENSOR_BYTES ? allocateData(datatype, count) : viewData(datatype, takeBuffer(bytes), 0, count);
}

/** Whether the buffer is one of `takeBuffer`'s, so that it belongs to one owner. */
export function isTaken(buffer: ArrayBufferLike): boolean {
  return taken.has(buffer);
}

/**
 * Frees a buffer's memory now, or keeps it for `takeBuffer`, instead of at some collection: bytes outside V8's heap that wait for one set off full collections,
 * which hold up everything else. The caller is its one owner, no native code uses it, and all views of it are empty afterwards. Shared and small buffers are left
 * to the collector.
 */
export function releaseBuffer(buffer: ArrayBufferLike): void {
  if (!(buffer instanceof ArrayBuffer) || buffer.byteLength < LEAST_BYTES) return;
  if (taken.has(buffer)) {
    keepIdle(buffer);
    return;
  }
  // What is transferred to a port that nobody can read from is freed at once.
  if (closedPort === undefined) {
    closedPort = new (workerThreads().MessageChannel)().port1;
    closedPort.close();
  }
  closedPort.postMessage(undefined, [buffer]);
}

/** Frees the memory of tensors that nobody will read any more, except what `kept` lie in. */
export function releaseTensors(tensors: readonly Tensor[], kept: readonly Tensor[]): void {
  for (const tensor of tensors) {
    const buffer = bufferOf(tensor);
    if (buffer.byteLength >= LEAST_TENSOR_BYTES && !kept.some((other) => bufferOf(other) === buffer)) releaseBuffer(buffer);
  }
}

/** The same for the answer to one request: outputs that fill a buffer of `takeBuffer`. Others may be rows of a tensor that answers several requests. */
export function releaseOutputs(outputs: readonly Tensor[]): void {
  for (const { data } of outputs) {
    if (!isBytesData(data) && taken.has(data.buffer) && dataByteLength(data) === data.buffer.byteLength) releaseBuffer(data.buffer);
  }
}

/** Whether the tensor's memory is this buffer. */
export function liesIn(tensor: Tensor, buffer: ArrayBufferLike): boolean {
  return bufferOf(tensor) === buffer;
}

function takeIdle(bytes: number): ArrayBuffer | undefined {
  for (let i = idle.length - 1; i >= 0; i--) {
    if (idle[i]?.byteLength !== bytes) continue;
    const [buffer] = idle.splice(i, 1);
    idleBytes -= bytes;
    return buffer;
  }
  return undefined;
}

/** A view that somebody forgot must not show the next request's bytes: the memory moves to a new buffer, which empties the old one. */
function keepIdle(buffer: ArrayBuffer): void {
  if (exchange === undefined) {
    const { MessageChannel, receiveMessageOnPort } = workerThreads();
    const { port1, port2 } = new MessageChannel();
    port1.unref();
    port2.unref();
    exchange = { from: port1, receive: () => receiveMessageOnPort(port2) };
  }
  exchange.from.postMessage(buffer, [buffer]);
  const received = exchange.receive() as { readonly message: ArrayBuffer } | undefined;
  if (received === undefined) return;
  idle.push(received.message);
  idleBytes += received.message.byteLength;
  while (idleBytes > MOST_IDLE_BYTES) {
    const oldest = idle.shift();
    if (oldest === undefined) return;
    idleBytes -= oldest.byteLength;
    releaseBuffer(oldest);
  }
}

function bufferOf({ data }: Tensor): ArrayBufferLike {
  return isBytesData(data) ? data.bytes.buffer : data.buffer;
}

/** Loaded with the first large buffer: no start waits for it. */
function workerThreads(): typeof WorkerThreads {
  return process.getBuiltinModule('node:worker_threads');
}
