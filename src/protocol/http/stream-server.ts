import type { Logger } from '../../core/context.ts';
import { ERROR_TABLE, toServingError } from '../../core/errors.ts';
import type { HttpReply, HttpRoute } from '../../core/http.ts';
import type { StreamHandler } from '../http2/index.ts';
import type { BodyLimits } from './body-reader.ts';
import type { HttpObserver } from './exchange-server.ts';
import { logError } from './log-error.ts';
import { errorReply } from './reply.ts';
import { createRouteMatcher, type RouteMatch } from './route-matcher.ts';
import { StreamExchange } from './stream-exchange.ts';

/** The routes for streams of HTTP/2 connections: what express and ExchangeServer are for HTTP/1.1. */
export function createStreamServer(
  limits: BodyLimits,
  { routes, log, observer }: { readonly routes: readonly HttpRoute[]; readonly log: Logger; readonly observer: HttpObserver },
): StreamHandler {
  const match = createRouteMatcher(routes);
  const onEnd: ConstructorParameters<typeof StreamExchange>[2]['onEnd'] = (exchange, end) => {
    observer.finished?.({
      method: exchange.method,
      route: exchange.route,
      status: end === 'replied' ? exchange.status : ERROR_TABLE.cancelled.http,
      seconds: (performance.now() - exchange.receivedAt) / 1000,
      requestBytes: exchange.requestBytes,
      responseBytes: exchange.responseBytes,
    });
  };
  return (stream, headers, connection) => {
    const found = match(headers[':method'] ?? 'GET', headers[':path'] ?? '/');
    const exchange = new StreamExchange(stream, { headers, connection, route: found.template, params: found.params }, { limits, log, onEnd });
    void serve(exchange, found);
  };
}

/** Never rejects: the wall where errors become replies and are logged, once. */
async function serve(exchange: StreamExchange, route: RouteMatch): Promise<void> {
  let reply: HttpReply;
  try {
    reply = await route.handle(exchange);
  } catch (thrown) {
    const error = toServingError(thrown);
    logError(exchange, error);
    reply = errorReply(error);
  }
  try {
    exchange.reply(reply);
  } catch (err) {
    // A reply that cannot be written, e.g. with a header that HTTP/2 does not have.
    exchange.log.error({ err, route: exchange.route }, 'cannot write reply');
    exchange.abandon();
  }
}
