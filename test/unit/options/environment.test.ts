import { describe, expect, it } from 'vitest';
import { readEnvironment, readForeignEnvironment } from '../../../src/options/environment.ts';
import { boolean, integer, type Option } from '../../../src/options/index.ts';

const OPTIONS: readonly Option[] = [
  { name: 'http_port', schema: integer(0, 65_535), doc: 'port', env: ['PORT', 'LEGACY_PORT'] },
  { name: 'enable_grpc', schema: boolean(), doc: 'grpc' },
];

describe('readEnvironment', () => {
  it('reads our variables and leaves all others alone', () => {
    const { given, problems } = readEnvironment({ KSERVE_NODE_HTTP_PORT: '1', PORT: '2', HOME: '/', kserve_node_http_port: '3' }, OPTIONS);
    expect([...given]).toEqual([['http_port', { value: '1', origin: 'KSERVE_NODE_HTTP_PORT' }]]);
    expect(problems).toEqual([]);
  });

  it('takes an empty variable as not set', () => {
    expect(readEnvironment({ KSERVE_NODE_HTTP_PORT: '', KSERVE_NODE_NONSENSE: '' }, OPTIONS)).toEqual({ given: new Map(), problems: [] });
  });

  it('reports every variable with our prefix that no option has, without its value', () => {
    const { problems } = readEnvironment({ KSERVE_NODE_HTP_PORT: 's3cret', KSERVE_NODE_XYZ: 's3cret' }, OPTIONS);
    expect(problems).toEqual(['unknown variable KSERVE_NODE_HTP_PORT, did you mean KSERVE_NODE_HTTP_PORT?', 'unknown variable KSERVE_NODE_XYZ']);
  });

  it.each([
    ['KSERVE_NODE_SERVICE_HOST', '10.0.0.1'],
    ['KSERVE_NODE_SERVICE_PORT', '80'],
    ['KSERVE_NODE_SERVICE_PORT_HTTP', '80'],
    ['KSERVE_NODE_PORT', 'tcp://10.0.0.1:80'],
    ['KSERVE_NODE_PORT_80_TCP', 'tcp://10.0.0.1:80'],
    ['KSERVE_NODE_PORT_80_TCP_PROTO', 'tcp'],
    ['KSERVE_NODE_PORT_80_TCP_ADDR', '10.0.0.1'],
    ['KSERVE_NODE_DIGITS_SERVICE_HOST', '10.0.0.1'],
    ['KSERVE_NODE_HTTP_PORT', 'tcp://10.0.0.1:80'],
  ])('ignores %s=%s, which Kubernetes sets for a Service of that name', (variable, value) => {
    expect(readEnvironment({ [variable]: value }, OPTIONS)).toEqual({ given: new Map(), problems: [] });
  });
});

describe('readForeignEnvironment', () => {
  it('takes the first variable that is set', () => {
    const origins = (env: Record<string, string>): unknown => readForeignEnvironment(env, OPTIONS).given.get('http_port')?.origin;
    expect(origins({ PORT: '1', LEGACY_PORT: '2' })).toBe('PORT');
    expect(origins({ PORT: '', LEGACY_PORT: '2' })).toBe('LEGACY_PORT');
    expect(origins({})).toBeUndefined();
  });
});
