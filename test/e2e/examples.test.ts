import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Jimp } from 'jimp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect, tensor } from '../../src/client/index.ts';
import { readMetrics, untilMetric } from '../support/metrics.ts';
import { startServerProcess, type ServerProcess } from '../support/server.ts';

const ROOT = join(import.meta.dirname, '../..');

/** What a README shows in backquotes: how to serve, what to ask, what comes back. */
interface Readme {
  readonly serve: readonly (readonly string[])[];
  readonly curls: readonly string[];
  readonly answers: readonly unknown[];
}

function readReadme(example: string): Readme {
  const text = readFileSync(join(ROOT, 'examples', example, 'README.md'), 'utf8');
  expect(text.split('\n').filter((line) => line !== '').length, `lines of ${example}/README.md`).toBeLessThanOrEqual(5);
  const spans = [...text.matchAll(/`([^`\n]+)`/g)].map(([, span = '']) => span);
  const SERVE = 'npx kserve-node serve ';
  const serve = spans.filter((span) => span.startsWith(SERVE)).map((span) => span.slice(SERVE.length).split(' '));
  return {
    serve,
    curls: spans.filter((span) => span.startsWith('curl ')),
    answers: spans.filter((span) => span.startsWith('{')).map((span) => JSON.parse(span) as unknown),
  };
}

/** The tests' servers have ports of their own. */
function withoutPorts(args: readonly string[]): string[] {
  return args.filter((arg, i) => !/^--(http|grpc)_port$/.test(arg) && !/^--(http|grpc)_port$/.test(args[i - 1] ?? ''));
}

let scratch = '';
const running: ServerProcess[] = [];
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'kserve-node-examples-'));
});
afterAll(async () => {
  const codes = await Promise.all(running.map((server) => server.stop()));
  rmSync(scratch, { recursive: true });
  expect(codes).toEqual(running.map(() => 0));
});

async function serve(args: readonly string[]): Promise<ServerProcess> {
  const server = await startServerProcess(withoutPorts(args), { cwd: ROOT });
  running.push(server);
  return server;
}

/** Runs a README's curl against the test's server; what it writes to a file comes back instead of what it prints. */
function curl(command: string, server: ServerProcess): Buffer {
  const file = / > (\S+)$/.exec(command)?.[1];
  const here = command.replace('localhost:8080', new URL(server.url).host).replace(/ > \S+$/, '');
  expect(here).not.toBe(command);
  const output = execFileSync('bash', ['-c', file === undefined ? here : `${here} > ${join(scratch, file)}`], { cwd: ROOT, timeout: 50_000 });
  return file === undefined ? output : readFileSync(join(scratch, file));
}

interface Picture {
  readonly width: number;
  readonly height: number;
  /** Red, green and blue at a point, 0 to 255. */
  readonly at: (x: number, y: number) => readonly [number, number, number];
  /** The different colours there are. */
  readonly colours: number;
}

async function decode(png: Uint8Array): Promise<Picture> {
  expect(Buffer.from(png.subarray(1, 4)).toString()).toBe('PNG');
  const { width, height, data } = (await Jimp.read(Buffer.from(png))).bitmap;
  const at = (x: number, y: number): readonly [number, number, number] => {
    const from = 4 * (y * width + x);
    return [data[from] ?? -1, data[from + 1] ?? -1, data[from + 2] ?? -1];
  };
  const colours = new Set<string>();
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) colours.add(at(x, y).join());
  return { width, height, at, colours: colours.size };
}

async function post(server: ServerProcess, path: string, contentType: string, body: Uint8Array | string): Promise<readonly [number, string]> {
  const response = await fetch(server.url + path, { method: 'POST', headers: { 'content-type': contentType }, body });
  return [response.status, await response.text()];
}

describe('png-digits', () => {
  const readme = readReadme('png-digits');
  const seven = readFileSync(join(ROOT, 'examples/png-digits/seven.png'));
  let server: ServerProcess;
  beforeAll(async () => {
    server = await serve(readme.serve[0]!);
  });

  it('reads the picture as its README says', () => {
    const [answer] = readme.answers as readonly { predictions: { digit: number; probability: number }[] }[];
    const got = JSON.parse(curl(readme.curls[0]!, server).toString()) as typeof answer;
    expect(got?.predictions).toEqual([{ digit: 7, probability: expect.closeTo(answer?.predictions[0]?.probability ?? NaN, 4) as number }]);
  });

  it('explains with a heat map: the digit in grey, red where its ink speaks for it', async () => {
    const heat = await decode(curl(readme.curls[1]!, server));
    expect([heat.width, heat.height]).toEqual([256, 256]);
    expect(heat.colours).toBeGreaterThan(10);
    // Some point of the stroke is as red as it gets, the empty corner below is white.
    const points = Array.from({ length: 64 }, (_, point) => heat.at(16 + 32 * (point % 8), 16 + 32 * Math.floor(point / 8)));
    expect(points).toContainEqual([230, 30, 30]);
    const [red, green, blue] = points[63]!;
    expect(Math.min(red, green, blue)).toBeGreaterThan(220);
  });

  it.each(['v2', 'gRPC'])('takes pictures in a BYTES tensor over %s, several at once', async (protocol) => {
    const client = connect(protocol === 'v2' ? server.url : `grpc://${server.grpcAddress}`);
    const upsideDown = await Jimp.read(seven);
    const negative = await upsideDown.invert().getBuffer('image/jpeg');
    const response = await client.infer('digits', { inputs: [tensor('image', 'BYTES', [2], [new Uint8Array(seven), new Uint8Array(negative)])] });
    expect(response.output('digit', 'INT64')).toEqual(BigInt64Array.of(7n, 7n));
    for (const probability of response.output('probability', 'FP32')) expect(probability).toBeGreaterThan(0.9);
    client.close();
  });

  it('refuses what is no picture, has no digit or would be gigantic', async () => {
    const path = '/v1/models/digits:predict';
    const refusal = (says: string): unknown => [400, expect.stringContaining(says)];
    expect(await post(server, path, 'image/png', 'GIF89a')).toEqual(refusal('Cannot read the image: '));
    expect(await post(server, path, 'image/png', '')).toEqual(refusal('Cannot read the image: '));
    expect(await post(server, path, 'image/png', seven.subarray(0, 200))).toEqual(refusal('Cannot read the image: '));
    const blank = await new Jimp({ width: 20, height: 20, color: 0xffffffff }).getBuffer('image/png');
    expect(await post(server, path, 'image/png', blank)).toEqual(refusal('expected a digit with a clear contrast'));
    const gigantic = Buffer.from(seven);
    gigantic.writeUInt32BE(100_000, 16);
    expect(await post(server, path, 'image/png', gigantic)).toEqual(refusal('got 100000 x 280'));
    expect((await post(server, path, 'image/tiff', seven))[0]).toBe(415);
  });
});

describe('pure-typescript', () => {
  const readme = readReadme('pure-typescript');
  let server: ServerProcess;
  beforeAll(async () => {
    server = await serve(readme.serve[0]!);
  });

  it('answers what its README says, and counts it', async () => {
    expect(JSON.parse(curl(readme.curls[0]!, server).toString())).toEqual(readme.answers[0]);
    await untilMetric(server.url, 'colours_named_total{model="colours"}', 2);
    expect([...(await readMetrics(server.url)).keys()]).toContain('colours_named_total{model="colours"}');
  });

  it('refuses what no colour is', async () => {
    const path = '/v1/models/colours:predict';
    expect(await post(server, path, 'application/json', '{"instances": [[250, 10]]}')).toEqual([
      400,
      expect.stringContaining('Cannot use input \\"rgb\\"'),
    ]);
    expect(await post(server, path, 'application/json', '{"instances": [[250, 10, 256]]}')).toEqual([400, expect.stringContaining('rgb')]);
  });
});

describe('transformer', () => {
  const readme = readReadme('transformer');

  it('answers through two processes what its README says', async () => {
    const [predictorArgs, transformerArgs] = readme.serve;
    const predictor = await serve(predictorArgs!);
    const transformer = await serve(transformerArgs!.map((arg) => arg.replace('localhost:8091', predictor.grpcAddress)));
    expect(JSON.parse(curl(readme.curls[0]!, transformer).toString())).toEqual(readme.answers[0]);
    const scan = new Array<number>(64).fill(17);
    const refused = await post(transformer, '/v1/models/digits:predict', 'application/json', JSON.stringify({ instances: [scan] }));
    expect(refused).toEqual([400, '{"error":"Cannot use input \\"scan\\": expected values from 0 to 16"}']);
    const asked = (await readMetrics(predictor.url)).get('kserve_node_requests_total{model="digits",version="1",protocol="v2-grpc",reason="ok"}');
    expect(asked).toBe(1);
  });
});

describe('vae-digits', () => {
  const readme = readReadme('vae-digits');
  const path = '/v1/models/vae:predict';
  let server: ServerProcess;
  beforeAll(async () => {
    server = await serve(readme.serve[0]!);
  });

  it('draws the sheet of its README, the same for the same seed', async () => {
    const first = curl(readme.curls[0]!, server);
    const sheet = await decode(first);
    expect([sheet.width, sheet.height]).toEqual([312, 252]);
    expect(sheet.colours).toBeGreaterThan(50);
    // White between the digits, black in every one of the 20.
    expect(sheet.at(0, 0)).toEqual([255, 255, 255]);
    for (let digit = 0; digit < 20; digit++) {
      const [left, top] = [12 + 60 * (digit % 5), 12 + 60 * Math.floor(digit / 5)];
      const lights = Array.from({ length: 48 * 48 }, (_, i) => sheet.at(left + (i % 48), top + Math.floor(i / 48))[0]);
      expect(Math.min(...lights), `digit ${digit}`).toBeLessThan(80);
    }
    expect(curl(readme.curls[0]!, server).equals(first)).toBe(true);
    const other = readme.curls[0]!.replace('"seed": 7', '"seed": 8');
    expect(curl(other, server).equals(first)).toBe(false);
  });

  it('draws a point of the latent space, over v2 too', async () => {
    const png = curl(readme.curls[1]!, server);
    const zero = await decode(png);
    expect([zero.width, zero.height]).toEqual([72, 72]);
    expect(zero.colours).toBeGreaterThan(20);
    const inputs = [{ name: 'latent', datatype: 'FP32', shape: [1, 8], data: new Array<number>(8).fill(0) }];
    const response = await fetch(`${server.url}/v2/models/vae/infer`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ inputs }),
    });
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'image/png']);
    expect(Buffer.from(await response.arrayBuffer()).equals(png)).toBe(true);
  });

  it.each([
    ['{"seed": 7, "count": 0}', 'Cannot read \\"count\\": expected an integer from 1 to 400'],
    ['{"seed": "x"}', 'Cannot read \\"seed\\": expected an integer'],
    ['{"latent": [[1, 2]]}', 'Cannot read \\"latent\\": expected 1 to 400 lists of 8 numbers'],
    ['null', 'Cannot read the body: expected an object'],
    ['{"seed"', 'JSON'],
  ])('refuses %s', async (body, says) => {
    expect(await post(server, path, 'application/json', body)).toEqual([400, expect.stringContaining(says)]);
  });
});
