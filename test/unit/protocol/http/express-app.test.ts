import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import type { HttpRoute } from '../../../../src/core/http.ts';
import { createExpressApp, type ExpressApp } from '../../../../src/protocol/http/express-app.ts';
import { createV1Routes } from '../../../../src/protocol/v1-rest/index.ts';
import { createV2Routes } from '../../../../src/protocol/v2-rest/index.ts';
import { createFakeDataplane, EVENTS } from './fake-dataplane.ts';

interface Matched {
  readonly route: string;
  readonly params: unknown;
}

const deps = { dataplane: createFakeDataplane(), maxJsonDepth: 20, events: EVENTS };
const matched: Matched[] = [];
const app: ExpressApp = createExpressApp([...createV2Routes(deps), ...createV1Routes(deps)] satisfies readonly HttpRoute[], (request, _, route) => {
  matched.push({ route, params: { ...(request as { params?: object }).params } });
});

async function match(method: string, url: string): Promise<Matched> {
  const { listener, classes } = app;
  const request = new classes.IncomingMessage(new Socket());
  request.method = method;
  request.url = url;
  listener(request, new classes.ServerResponse(request));
  await expect.poll(() => matched.length).toBe(1);
  return matched.pop()!;
}

describe('the express application', () => {
  test.each([
    ['GET', '/', '/', {}],
    ['GET', '/v2/', '/v2', {}],
    ['GET', '/v2/models/m/ready', '/v2/models/{model}/ready', { model: 'm' }],
    ['POST', '/v2/models/m/infer', '/v2/models/{model}/infer', { model: 'm' }],
    ['POST', '/v2/models/a%20b/versions/3/infer', '/v2/models/{model}/versions/{version}/infer', { model: 'a b', version: '3' }],
    ['POST', '/v1/models/m:predict', '/v1/models/{model}:predict', { model: 'm' }],
    ['POST', '/v1/models/a:b:predict', '/v1/models/{model}:predict', { model: 'a:b' }],
    ['POST', '/v1/models/m:explain', '/v1/models/{model}:explain', { model: 'm' }],
    ['POST', '/v1/models/m%3Apredict', '/v1/models/{model}', { model: 'm:predict' }],
    ['POST', '/v2/repository/models/m/load', '/v2/repository/models/{model}/load', { model: 'm' }],
    ['POST', '/v2/models//infer', 'unmatched', {}],
    ['POST', '/v2/models/m/x/infer', 'unmatched', {}],
    ['POST', '/v1/models/:predict', '/v1/models/{model}', { model: ':predict' }],
  ])('%s %s goes to %s', async (method, url, route, params) => {
    expect(await match(method, url)).toEqual({ route, params });
  });

  test('finds probes, predictions and nothing else without express', async () => {
    const seen: string[] = [];
    const fresh = createExpressApp([...createV2Routes(deps), ...createV1Routes(deps)], (_, __, route) => {
      seen.push(route);
    });
    const send = (method: string, url: string): void => {
      const request = new fresh.classes.IncomingMessage(new Socket());
      fresh.listener(Object.assign(request, { method, url }), new fresh.classes.ServerResponse(request));
    };
    for (const url of ['/v2/health/ready', '/v2/health/live', '/']) send('GET', url);
    for (const url of ['/v2/models/m/infer', '/v1/models/m:predict']) send('POST', url);
    const atOnce = ['/v2/health/ready', '/v2/health/live', '/', '/v2/models/{model}/infer', '/v1/models/{model}:predict'];
    expect(seen).toEqual(atOnce);
    send('GET', '/v2/models/m');
    send('GET', '/nowhere');
    expect(seen).toEqual(atOnce);
    await fresh.complete();
    await expect.poll(() => seen).toEqual([...atOnce, '/v2/models/{model}', 'unmatched']);
  });

  test('sets no prototype on requests and replies made of its classes', async () => {
    await app.complete();
    const { classes } = app;
    const request = new classes.IncomingMessage(new Socket());
    const response = new classes.ServerResponse(request);
    await match('GET', '/');
    app.listener(Object.assign(request, { method: 'GET', url: '/' }), response);
    matched.length = 0;
    expect(Object.getPrototypeOf(request)).toBe(classes.IncomingMessage.prototype);
    expect(Object.getPrototypeOf(response)).toBe(classes.ServerResponse.prototype);
    expect(request).toBeInstanceOf(IncomingMessage);
    expect(response).toBeInstanceOf(ServerResponse);
  });
});
