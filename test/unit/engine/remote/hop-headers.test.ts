import { describe, expect, it } from 'vitest';
import { answeredHeaders, forwardedHeaders } from '../../../../src/engine/remote/hop-headers.ts';

describe('forwardedHeaders', () => {
  it('sends on who asks, the trace and what is of KServe', () => {
    const headers = {
      authorization: 'Bearer a',
      traceparent: '00-a-b-01',
      tracestate: 'x=1',
      baggage: 'k=v',
      b3: '1-2-1',
      'x-b3-traceid': '1',
      'x-b3-sampled': '1',
      'kserve-endpoint': 'default',
    };
    expect(forwardedHeaders({ id: 'r-1', headers })).toEqual({ ...headers, 'x-request-id': 'r-1' });
  });

  it('keeps back what is of the connection, of the body and of the event', () => {
    const headers = {
      host: 'a',
      connection: 'close',
      'content-type': 'text/plain',
      'content-length': '3',
      'transfer-encoding': 'chunked',
      te: 'trailers',
      cookie: 'a=b',
      'ce-id': '1',
      'x-request-timeout-ms': '5',
      'x-forwarded-for': '10.0.0.1',
      traceparent: undefined,
    };
    expect(forwardedHeaders({ id: 'r-1', headers })).toEqual({ 'x-request-id': 'r-1' });
  });

  it('sends the id that the logs have rather than the header that came', () => {
    expect(forwardedHeaders({ id: 'own', headers: { 'x-request-id': 'bad\u0001id' } })).toEqual({ 'x-request-id': 'own' });
  });
});

describe('answeredHeaders', () => {
  it('keeps what the handler there has set and drops what is of the hop', () => {
    const headers = {
      'x-model-note': 'a',
      'content-type': 'application/json',
      'content-length': '7',
      connection: 'keep-alive, X-Hop',
      'keep-alive': 'timeout=5',
      'x-hop': '1',
      date: 'now',
      server: 'uvicorn',
      'x-request-id': '1',
      'grpc-status': '0',
      'x-envoy-upstream-service-time': '3',
      'inference-header-content-length': '3',
      'trace-bin': 'AAE=',
      'x-latin': '\u00e4',
    };
    expect(answeredHeaders(headers)).toEqual({ 'x-model-note': 'a' });
  });
});
