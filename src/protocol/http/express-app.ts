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
  /** Imports express, unless that has begun. To be called when the server has time: a request that needs it waits for it. */
  complete(): Promise<void>;
  readonly listener: (request: IncomingMessage, response: ServerResponse) => void;
  /** Classes for http.createServer that carry express's prototypes once it is there, so that express has none to set on each request. */
  readonly classes: { readonly IncomingMessage: typeof IncomingMessage; readonly ServerResponse: typeof ServerResponse };
}

const UNMATCHED = 'unmatched';

/**
 * The routes as an express application: matching is all that express does here. Imported after the first answers, because that takes longer than loading a
 * small model. Paths are case-sensitive; a slash at the end is ignored. Unknown paths and wrong methods answer in KServe's words.
 */
export function createExpressApp(routes: readonly HttpRoute[], serve: Serve): ExpressApp {
  const direct = directRoutes(routes, serve);
  const classes = createClasses();
  let router: Listener | undefined;
  let loading: Promise<Listener> | undefined;
  const load = (): Promise<Listener> => (loading ??= createRouter(routes, serve, classes).then((loaded) => (router = loaded)));
  return {
    async complete() {
      await load();
    },
    listener: (request, response) => {
      if (direct(request, response)) return;
      if (router !== undefined) {
        router(request, response);
        return;
      }
      load().then(
        (loaded) => {
          loaded(request, response);
        },
        (error: unknown) => {
          serve(request, response, UNMATCHED, () => {
            throw asServingError(error);
          });
        },
      );
    },
    classes,
  };
}

type Listener = ExpressApp['listener'];

async function createRouter(routes: readonly HttpRoute[], serve: Serve, classes: ExpressApp['classes']): Promise<Listener> {
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
  adoptClasses(app, classes);
  return app as Listener;
}

/**
 * Routes that carry nearly all the traffic, and fixed paths, which probes ask for, are found without the router: it costs as much as decoding a small request.
 * Only for plain paths: whatever is escaped, has a query or another method goes the long way.
 */
function directRoutes(routes: readonly HttpRoute[], serve: Serve): (request: IncomingMessage, response: ServerResponse) => boolean {
  const fixed = new Map<string, { readonly template: string; readonly handle: (call: HttpCall) => HttpReply | Promise<HttpReply> }>();
  for (const route of routes) {
    if (/^[\w./-]+$/.test(route.path)) {
      fixed.set(`${route.method} ${route.path}`, { template: pathTemplate(route.path), handle: (call: HttpCall) => route.handle(call) });
    }
  }
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
    const found = fixed.get(`${method ?? ''} ${url}`);
    if (found === undefined) return false;
    serve(request, response, found.template, found.handle);
    return true;
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

function createClasses(): ExpressApp['classes'] {
  class AppRequest extends IncomingMessage {}
  class AppResponse<R extends IncomingMessage = IncomingMessage> extends ServerResponse<R> {}
  return { IncomingMessage: AppRequest, ServerResponse: AppResponse };
}

/** request -> AppRequest.prototype -> express's methods -> IncomingMessage.prototype. Once for all objects there are and will be. */
function adoptClasses(app: Express, classes: ExpressApp['classes']): void {
  Object.setPrototypeOf(classes.IncomingMessage.prototype, app.request);
  Object.setPrototypeOf(classes.ServerResponse.prototype, app.response);
  app.request = classes.IncomingMessage.prototype as Request;
  app.response = classes.ServerResponse.prototype as unknown as Response;
}
