import { IncomingMessage, ServerResponse } from 'node:http';
import type { Express, NextFunction, Request, Response } from 'express';
import { ServingError, invalidRequest } from '../../core/errors.ts';
import type { HttpCall, HttpReply, HttpRoute } from '../../core/http.ts';
import { pathTemplate } from './path-template.ts';
import { jsonReply } from './reply.ts';

/** Runs one matched request to its reply; never throws. `route` is the pattern that matched, for metrics and logs. */
export type Serve = (
  request: IncomingMessage,
  response: ServerResponse,
  route: string,
  handle: (call: HttpCall) => HttpReply | Promise<HttpReply>,
) => void;

export interface ExpressApp {
  readonly listener: (request: IncomingMessage, response: ServerResponse) => void;
  /** Classes for http.createServer that carry express's prototypes, so that express has none to set on each request. */
  readonly classes: { readonly IncomingMessage: typeof IncomingMessage; readonly ServerResponse: typeof ServerResponse };
}

const UNMATCHED = 'unmatched';

/**
 * The routes as an express application: matching is all that express does here. Loaded on demand, because importing express takes longer than loading a
 * small model. Paths are case-sensitive; a slash at the end is ignored. Unknown paths and wrong methods answer in KServe's words.
 */
export async function createExpressApp(routes: readonly HttpRoute[], serve: Serve): Promise<ExpressApp> {
  const { default: express } = await import('express');
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.enable('case sensitive routing');
  for (const route of routes) {
    const template = pathTemplate(route.path);
    const handle = (call: HttpCall): HttpReply | Promise<HttpReply> => route.handle(call);
    const listener = (request: IncomingMessage, response: ServerResponse): void => {
      serve(request, response, template, handle);
    };
    if (route.method === 'GET') app.get(route.path, listener);
    else app.post(route.path, listener);
  }
  refuseOtherMethods(app, routes, serve);
  app.use((request: Request, response: Response) => {
    serve(request, response, UNMATCHED, () => jsonReply(404, { detail: 'Not Found' }));
  });
  // Express knows an error handler by its four parameters.
  app.use((error: unknown, request: Request, response: Response, next: NextFunction) => {
    if (response.headersSent) {
      next(error);
      return;
    }
    serve(request, response, UNMATCHED, () => {
      throw asServingError(error);
    });
  });
  const direct = directRoutes(routes, serve);
  const viaRouter = app as (request: IncomingMessage, response: ServerResponse) => void;
  return {
    listener: (request, response) => {
      if (!direct(request, response)) viaRouter(request, response);
    },
    classes: classesFor(app),
  };
}

/**
 * Routes that carry nearly all the traffic are found without the router, which costs as much as decoding a small request. Only for plain paths: whatever is
 * escaped, has a query or another method goes the long way.
 */
function directRoutes(routes: readonly HttpRoute[], serve: Serve): (request: IncomingMessage, response: ServerResponse) => boolean {
  const direct = routes
    .filter(({ isBusy }) => isBusy === true)
    .map((route) => {
      const template = pathTemplate(route.path);
      const [before = '', after = ''] = template.split(/\{\w+\}/);
      const [, name = ''] = /\{(\w+)\}/.exec(template) ?? [];
      return { method: route.method, before, after, name, template, handle: (call: HttpCall) => route.handle(call) };
    });
  return (request, response) => {
    const { method, url = '' } = request;
    for (const route of direct) {
      if (method !== route.method || !url.startsWith(route.before) || !url.endsWith(route.after)) continue;
      const value = url.slice(route.before.length, url.length - route.after.length);
      if (!PLAIN.test(value)) continue;
      (request as IncomingMessage & { params: Readonly<Record<string, string>> }).params = { [route.name]: value };
      serve(request, response, route.template, route.handle);
      return true;
    }
    return false;
  };
}

/** One part of a path without anything to decode. */
const PLAIN = /^[\w.~-]+$/;

function refuseOtherMethods(app: Express, routes: readonly HttpRoute[], serve: Serve): void {
  const methods = new Map<string, Set<string>>();
  for (const { path, method } of routes) {
    const allowed = methods.get(path) ?? new Set();
    allowed.add(method);
    if (method === 'GET') allowed.add('HEAD');
    methods.set(path, allowed);
  }
  for (const [path, allowed] of methods) {
    const allow = [...allowed].join(', ');
    const reply = jsonReply(405, { detail: 'Method Not Allowed' });
    const refusal = { ...reply, headers: { ...reply.headers, allow } };
    app.all(path, (request, response) => {
      serve(request, response, pathTemplate(path), () => refusal);
    });
  }
}

/** Express itself fails only where it decodes the path. */
function asServingError(error: unknown): ServingError {
  if (error instanceof URIError) return invalidRequest('Cannot read the path: expected percent-encoded UTF-8, got a broken sequence');
  return new ServingError('internal', 'Internal server error', { cause: error });
}

function classesFor(app: Express): ExpressApp['classes'] {
  class AppRequest extends IncomingMessage {}
  class AppResponse<R extends IncomingMessage = IncomingMessage> extends ServerResponse<R> {}
  // request -> AppRequest.prototype -> express's methods -> IncomingMessage.prototype
  Object.setPrototypeOf(AppRequest.prototype, app.request);
  Object.setPrototypeOf(AppResponse.prototype, app.response);
  app.request = AppRequest.prototype as Request;
  app.response = AppResponse.prototype as unknown as Response;
  return { IncomingMessage: AppRequest, ServerResponse: AppResponse };
}
