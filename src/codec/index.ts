export type { EncodedBody } from './encoded-body.ts';
export { decodePredictRequest, type DecodePredictOptions, type PredictRequest } from './v1-request.ts';
export { encodePredictResponse } from './v1-response.ts';
export { HEADER_LENGTH_HEADER, parseHeaderLength } from './v2-header-length.ts';
export { encodeInferRequest, encodeInferResponse } from './v2-json-encode.ts';
export { decodeInferRequest, type DecodeInferOptions } from './v2-json-request.ts';
export { decodeInferResponse } from './v2-json-response.ts';
export * from './v2-proto.ts';
