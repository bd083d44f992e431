import { describe, expect, it } from 'vitest';
import { METRIC_TABLE, createMetrics, type Metrics } from '../../../src/telemetry/metrics.ts';

const TIMINGS = { preprocessMs: 1, predictMs: 20, postprocessMs: 2 };

/** Every metric has a series. */
function useEverything(metrics: Metrics): void {
  metrics.startupReached('main', 0.1);
  const queue = metrics.queue('digits', '1');
  queue.queued(3);
  queue.batchStarted(2, [4, 8]);
  queue.batchFinished(2, 30, TIMINGS);
  queue.executed({ members: 2, rows: 5, inputMs: 0, inferMs: 20, outputMs: 0 });
  queue.rejected('overloaded');
  metrics.requests.cacheLookedUp({ model: 'digits', version: '1', isHit: true, seconds: 0.001 });
  metrics.requests.cacheSized('digits', 100);
  metrics.requests.started('digits', '1');
  metrics.requests.started('digits', '1');
  metrics.requests.finished({ model: 'digits', version: '1', protocol: 'v2-rest', reason: 'ok', seconds: 0.004 });
  metrics.executorRestarted('digits');
  metrics.modelUpdated('digits', 'loaded');
  metrics.http.finished({ method: 'POST', status: 200, requestBytes: 100, responseBytes: 50 });
  metrics.grpc.callFinished({ method: 'ModelInfer', code: 'OK' });
}

async function linesOf(metrics: Metrics, accept?: string): Promise<string[]> {
  return (await metrics.render(accept)).body.split('\n');
}

describe('metrics', () => {
  it('shows every metric of the table with its type, help and labels, and none that the table lacks', async () => {
    const metrics = createMetrics({ version: '1.2.3' });
    useEverything(metrics);
    const lines = await linesOf(metrics);
    for (const { name, type, help, labels } of METRIC_TABLE) {
      expect(lines).toContain(`# HELP ${name} ${help}`);
      expect(lines).toContain(`# TYPE ${name} ${type}`);
      // Nothing is explained yet: that metric has no series.
      if (name === 'request_explain_seconds') continue;
      const sample = lines.find((line) => line.startsWith(type === 'histogram' ? `${name}_count` : name)) ?? '';
      const found = [...sample.matchAll(/(\w+)="/g)].map((match) => match[1]);
      expect(found, name).toEqual(labels);
    }
    const known = new Set(METRIC_TABLE.map(({ name }) => name));
    const shown = lines.filter((line) => line.startsWith('# TYPE ')).map((line) => line.split(' ')[2] ?? '');
    expect(shown.filter((name) => !known.has(name) && !name.startsWith('process_') && !name.startsWith('nodejs_'))).toEqual([]);
    expect(shown).toEqual(expect.arrayContaining(['process_resident_memory_bytes', 'process_cpu_seconds_total', 'nodejs_eventloop_lag_seconds']));
  });

  it("keeps KServe's four histograms with its label and buckets", async () => {
    const metrics = createMetrics({ version: '1' });
    useEverything(metrics);
    const lines = await linesOf(metrics);
    const buckets = lines.filter((line) => line.startsWith('request_predict_seconds_bucket'));
    expect(buckets.map((line) => /le="([^"]+)",model_name="digits"\} (\d+)/.exec(line)?.slice(1).join(' '))).toEqual([
      '0.005 0',
      '0.01 0',
      '0.025 2',
      '0.05 2',
      '0.075 2',
      '0.1 2',
      '0.25 2',
      '0.5 2',
      '0.75 2',
      '1 2',
      '2.5 2',
      '5 2',
      '7.5 2',
      '10 2',
      '+Inf 2',
    ]);
    expect(lines).toContain('request_predict_seconds_sum{model_name="digits"} 0.04');
    expect(lines).toContain('request_preprocess_seconds_count{model_name="digits"} 2');
    expect(lines).toContain('request_postprocess_seconds_count{model_name="digits"} 2');
  });

  it('counts what its observers saw, before and after the first rendering', async () => {
    const metrics = createMetrics({ version: '1.2.3' });
    useEverything(metrics);
    await metrics.render(undefined);
    metrics.requests.finished({ model: 'digits', version: '1', protocol: 'v2-grpc', reason: 'deadline_exceeded', seconds: 70 });
    const lines = await linesOf(metrics);
    expect(lines).toEqual(
      expect.arrayContaining([
        'kserve_node_requests_total{model="digits",version="1",protocol="v2-rest",reason="ok"} 1',
        'kserve_node_requests_total{model="digits",version="1",protocol="v2-grpc",reason="deadline_exceeded"} 1',
        'kserve_node_request_duration_seconds_bucket{le="60",model="digits",protocol="v2-grpc"} 0',
        'kserve_node_request_duration_seconds_bucket{le="+Inf",model="digits",protocol="v2-grpc"} 1',
        'kserve_node_requests_in_flight{model="digits"} 0',
        'kserve_node_queue_depth{model="digits"} 3',
        'kserve_node_queue_wait_seconds_count{model="digits"} 2',
        'kserve_node_batch_size_bucket{le="2",model="digits"} 1',
        'kserve_node_compute_seconds_sum{model="digits"} 0.03',
        'kserve_node_rejected_total{model="digits",reason="overloaded"} 1',
        'kserve_node_executor_restarts_total{model="digits"} 1',
        'kserve_node_http_requests_total{method="POST",status="200"} 1',
        'kserve_node_http_request_bytes_total 100',
        'kserve_node_http_response_bytes_total 50',
        `kserve_node_build_info{version="1.2.3",node_version="${process.version}"} 1`,
      ]),
    );
  });

  it('gives a bound value to the bucket of that bound', async () => {
    const metrics = createMetrics({ version: '1' });
    metrics.queue('m', '1').batchStarted(1, [10]);
    const lines = await linesOf(metrics);
    expect(lines).toContain('kserve_node_queue_wait_seconds_bucket{le="0.005",model="m"} 0');
    expect(lines).toContain('kserve_node_queue_wait_seconds_bucket{le="0.01",model="m"} 1');
  });

  it('answers in OpenMetrics when Prometheus asks for it, and in text before and after', async () => {
    const metrics = createMetrics({ version: '1' });
    useEverything(metrics);
    const before = await metrics.render('text/plain');
    const open = await metrics.render(
      'application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1',
    );
    const after = await metrics.render(undefined);
    expect(before.contentType).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(open.contentType).toBe('application/openmetrics-text; version=1.0.0; charset=utf-8');
    expect(after.contentType).toBe(before.contentType);
    const lines = open.body.split('\n');
    expect(lines.slice(-2)).toEqual(['# EOF', '']);
    expect(lines).toContain('# TYPE kserve_node_requests counter');
    expect(lines).toContain('kserve_node_requests_total{model="digits",version="1",protocol="v2-rest",reason="ok"} 1');
    expect(lines).toContain('# TYPE process_cpu_seconds counter');
    expect(lines.filter((line) => line.includes('_total_total'))).toEqual([]);
    expect(after.body).toContain('# TYPE kserve_node_requests_total counter');
    expect(after.body).toContain('# TYPE process_cpu_seconds_total counter');
  });

  it.each([
    ['application/openmetrics-text; q=0.1, text/plain; q=0.9', 'text/plain'],
    ['application/openmetrics-text;q=0', 'text/plain'],
    ['*/*', 'text/plain'],
    ['nonsense;;q=x,', 'text/plain'],
    ['Application/OpenMetrics-Text', 'application/openmetrics-text'],
  ])('answers Accept "%s" with %s', async (accept, type) => {
    expect((await createMetrics({ version: '1' }).render(accept)).contentType).toMatch(type);
  });

  it('never makes a label of a method that a client made up', async () => {
    const metrics = createMetrics({ version: '1' });
    metrics.http.finished({ method: 'BREW', status: 405, requestBytes: 0, responseBytes: 9 });
    expect(await linesOf(metrics)).toContain('kserve_node_http_requests_total{method="other",status="405"} 1');
  });

  it('escapes a model name with quotes and backslashes', async () => {
    const metrics = createMetrics({ version: '1' });
    metrics.queue('a"b', '1').queued(1);
    expect(await linesOf(metrics)).toContain('kserve_node_queue_depth{model="a\\"b"} 1');
  });
});
