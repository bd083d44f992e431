import { invalidRequest } from '../../core/errors.ts';
import type { HttpCall, HttpReply, HttpRoute } from '../../core/http.ts';
import { pathTemplate } from './path-template.ts';
import { jsonReply } from './reply.ts';

/** What a request is to be answered with. */
export interface RouteMatch {
  /** The pattern that matched, or `unmatched`. */
  readonly template: string;
  readonly params: Readonly<Record<string, string>>;
  handle(call: HttpCall): HttpReply | Promise<HttpReply>;
}

export const UNMATCHED = 'unmatched';
const NO_PARAMS: Readonly<Record<string, string>> = Object.freeze(Object.create(null) as Record<string, string>);

interface Pattern {
  readonly template: string;
  readonly path: RegExp;
  readonly routes: Map<string, HttpRoute>;
}

/**
 * Finds routes for requests that did not come over HTTP/1.1, by express's rules: paths are case-sensitive, a slash at the end is ignored, HEAD is GET.
 * Unknown paths and wrong methods answer in KServe's words.
 */
export function createRouteMatcher(routes: readonly HttpRoute[]): (method: string, url: string) => RouteMatch {
  const patterns = new Map<string, Pattern>();
  for (const route of routes) {
    const template = pathTemplate(route.path);
    const pattern = patterns.get(template) ?? { template, path: patternOf(template), routes: new Map<string, HttpRoute>() };
    pattern.routes.set(route.method, route);
    if (route.method === 'GET') pattern.routes.set('HEAD', route);
    patterns.set(template, pattern);
  }
  const known = [...patterns.values()];
  return (method, url) => {
    const query = url.indexOf('?');
    const path = query < 0 ? url : url.slice(0, query);
    for (const { template, path: pattern, routes: byMethod } of known) {
      const match = pattern.exec(path);
      if (match === null) continue;
      const route = byMethod.get(method);
      if (route === undefined) return { template, params: NO_PARAMS, handle: () => refuseMethod(byMethod) };
      const params = decodeParams(match.groups);
      if (params === undefined) return { template: UNMATCHED, params: NO_PARAMS, handle: refusePath };
      return { template, params, handle: (call) => route.handle(call) };
    }
    return { template: UNMATCHED, params: NO_PARAMS, handle: () => jsonReply(404, { detail: 'Not Found' }) };
  };
}

/** `/v1/models/{model}:predict` as an expression; a part matches as little as it can. */
function patternOf(template: string): RegExp {
  const source = template.replace(/\{(\w+)\}|[.*+?^$()|[\]\\]/g, (found, name: string | undefined) =>
    name === undefined ? `\\${found}` : `(?<${name}>[^/]+?)`,
  );
  return new RegExp(`^${source}/?$`);
}

/** Undefined for what is not percent-encoded UTF-8. */
function decodeParams(groups: Readonly<Record<string, string>> | undefined): Record<string, string> | undefined {
  const params = Object.create(null) as Record<string, string>;
  try {
    for (const name in groups) params[name] = decodeURIComponent(groups[name] ?? '');
    return params;
  } catch {
    return undefined;
  }
}

function refusePath(): never {
  throw invalidRequest('Cannot read the path: expected percent-encoded UTF-8, got a broken sequence');
}

function refuseMethod(routes: ReadonlyMap<string, HttpRoute>): HttpReply {
  const reply = jsonReply(405, { detail: 'Method Not Allowed' });
  return { ...reply, headers: { ...reply.headers, allow: [...routes.keys()].join(', ') } };
}
