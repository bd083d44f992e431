/** A request or response body ready for the wire. Chunks are written in order without joining them; they may be views of the tensors' own memory. */
export interface EncodedBody {
  readonly contentType: string;
  /** Byte length of the JSON before the raw tensors (`Inference-Header-Content-Length`); absent when the body is JSON alone. */
  readonly headerLength?: number;
  readonly chunks: readonly Uint8Array[];
}

export const JSON_CONTENT_TYPE = 'application/json';
export const BINARY_CONTENT_TYPE = 'application/octet-stream';
