import type { DocumentedRoute } from './route-doc.ts';

/** GET /metrics. `render` picks the text format by the Accept header, as Prometheus asks for it. */
export function createMetricsRoute(
  render: (accept: string | undefined) => Promise<{ readonly contentType: string; readonly body: string }>,
): DocumentedRoute {
  return {
    method: 'GET',
    path: '/metrics',
    async handle(call) {
      const { contentType, body } = await render(call.headers['accept']);
      return { status: 200, headers: { 'content-type': contentType }, body };
    },
    doc: {
      operationId: 'metrics',
      summary: 'Metrics in the Prometheus text format, or OpenMetrics when asked for',
      tag: 'server',
      success: {
        description: 'All metrics of the process',
        bodies: [{ contentType: 'text/plain' }, { contentType: 'application/openmetrics-text' }],
      },
      errors: [],
    },
  };
}
