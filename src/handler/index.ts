export { defineHandler, isDefinedHandler, type DefinedHandler } from './define-handler.ts';
export { describeThrown, describeValue, handlerFailed } from './handler-error.ts';
export { HandlerRequest, unwrapRequest } from './handler-request.ts';
export { HandlerResponse, unwrapResponse } from './handler-response.ts';
export { InvalidRequest, type ClientFault } from './invalid-request.ts';
export { loadHandler } from './load-handler.ts';
export { reply } from './reply.ts';
export { tensor, type NamedTensor } from './tensor.ts';
export type * from './handler.ts';
