export { contextOf, TIMEOUT_HEADERS } from './call-context.ts';
export { runCodec } from './codec-steps.ts';
export { answerEvent } from './event-binding.ts';
export { eventModeOf, type EventOptions } from './event-mode.ts';
export type { HttpObserver, HttpOutcome } from './exchange-server.ts';
export { createHttpFrontend, type HttpFrontend, type HttpOptions } from './frontend.ts';
export type { GrpcStreams } from './http2-port.ts';
export { readMediaType } from './media-type.ts';
export { createMetricsRoute } from './metrics-route.ts';
export { ask, bodyReply, releaseAnswer, tensorReply } from './model-answer.ts';
export { modelOf } from './model-name.ts';
export { pathTemplate } from './path-template.ts';
export { jsonReply } from './reply.ts';
export {
  BODY_ERRORS,
  HANDLER_BODY,
  MODEL_ERRORS,
  type BodyDoc,
  type DocumentedRoute,
  type HeaderDoc,
  type JsonSchema,
  type RouteDoc,
} from './route-doc.ts';
