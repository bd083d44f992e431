import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { isBytesData, type Tensor } from './tensor.ts';

/** Below this size giving memory back by hand costs more than the collector does. */
const LEAST_BYTES = 1 << 14;

/** Small tensors may share storage with those of other requests; that above this size belongs to the tensors of one. */
const LEAST_TENSOR_BYTES = 1 << 18;

let closedPort: MessagePort | undefined;

/**
 * Frees a buffer's memory now instead of at some collection: bytes outside V8's heap that wait for one set off full collections, which hold up everything else.
 * The caller is its one owner, no native code uses it, and all views of it are empty afterwards. Shared and small buffers are left to the collector.
 */
export function releaseBuffer(buffer: ArrayBufferLike): void {
  if (!(buffer instanceof ArrayBuffer) || buffer.byteLength < LEAST_BYTES) return;
  // What is transferred to a port that nobody can read from is freed at once.
  if (closedPort === undefined) {
    closedPort = new MessageChannel().port1;
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

function bufferOf({ data }: Tensor): ArrayBufferLike {
  return isBytesData(data) ? data.bytes.buffer : data.buffer;
}
