import type { BenchResult } from './run-bench.ts';

/** For programs: snake_case as everywhere on the wire. */
export function renderJson(result: BenchResult): string {
  const { url, model, protocol, requestBytes, samples, startedAt, isInterrupted, sentAlone, measurements } = result;
  const document = {
    url,
    model,
    protocol,
    request_bytes: requestBytes,
    samples,
    started_at: startedAt,
    interrupted: isInterrupted,
    sent_alone: sentAlone,
    measurements: measurements.map((each) => ({
      ...(each.rate === undefined ? { concurrency: each.concurrency } : { rate: each.rate }),
      seconds: each.seconds,
      sent: each.sent,
      warmup_sent: each.warmupSent,
      right: each.right,
      failures: each.failures,
      requests_per_second: each.perSecond,
      bytes_received: each.bytesReceived,
      latency_ms: each.latency,
      percentiles: each.curve,
      ...(each.openLoop === undefined ? {} : { unsent: each.openLoop.unsent, send_delay_p99_ms: each.openLoop.lateP99Ms }),
      generator: { cpu_share: each.generator.cpuShare, loop_share: each.generator.loopShare, is_bottleneck: each.generator.isBottleneck },
      ...(each.server === undefined
        ? {}
        : { server: { cpu_ms_per_request: each.server.cpuMsPerRequest, cpu_share: each.server.cpuShare, rss_mib: each.server.rssMiB } }),
    })),
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}
