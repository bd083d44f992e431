import { describe, expect, it } from 'vitest';
import { toPredictorOptions } from '../../../../src/engine/index.ts';
import { predictorSection } from '../../../../src/engine/remote/options.ts';
import { loadOptions } from '../../../../src/options/index.ts';

function load(
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
): ReturnType<typeof loadOptions<{ predictor: typeof predictorSection }>> {
  return loadOptions({ predictor: predictorSection }, { argv, env, readFile: () => '' });
}

describe('options of a predictor elsewhere', () => {
  it('has the defaults of KServe, and no predictor without a host', () => {
    const { values } = load([]);
    expect(values.predictor).toMatchObject({
      protocol: 'v1',
      useSsl: false,
      requestTimeoutMs: 600_000,
      retries: 0,
      enableHealthCheck: false,
    });
    expect(load([]).ok).toBe(true);
  });

  it.each(['digits-predictor.ns', 'digits-predictor.ns.svc.cluster.local:8080', '10.0.0.1:80', '[::1]:8080', 'host/serving/digits'])(
    'takes the host %s',
    (host) => {
      expect(load([`--predictor_host=${host}`]).ok).toBe(true);
    },
  );

  it.each(['http://host', 'user@host', 'host:port', 'a b', 'host?x=1'])('refuses the host %s', (host) => {
    const loaded = load([`--predictor_host=${host}`]);
    expect(loaded.ok ? [] : loaded.problems).toEqual([expect.stringContaining('expected host[:port] without a scheme')]);
  });

  it('takes the certificates of Python programs and the deprecated name of the protocol', () => {
    const loaded = load(['--predictor_host=host', '--protocol=grpc-v2', '--predictor_use_ssl=true'], { REQUESTS_CA_BUNDLE: '/ca.pem' });
    if (!loaded.ok) throw new Error(loaded.problems.join());
    expect(toPredictorOptions(loaded.values.predictor)).toEqual({
      host: 'host',
      protocol: 'grpc-v2',
      useSsl: true,
      requestTimeoutMs: 600_000,
      retries: 0,
      maxResponseBytes: 2 ** 30,
      caFile: '/ca.pem',
    });
  });

  it('makes no predictor without a host', () => {
    const loaded = load([]);
    expect(loaded.ok && toPredictorOptions(loaded.values.predictor)).toBeUndefined();
  });
});
