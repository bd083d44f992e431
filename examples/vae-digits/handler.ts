/** A generative model: a seed, or points of the latent space, in; a sheet of handwritten digits as PNG out. */
import { defineHandler, InvalidRequest, reply, tensor } from 'kserve-node';
import { drawSheet } from './sheet.ts';
import { standardNormal } from './random.ts';

const LATENT = 8;
const MAX_COUNT = 400;

interface Wish {
  readonly seed?: unknown;
  readonly count?: unknown;
  readonly latent?: unknown;
}

export default defineHandler({
  accepts: ['application/json'],

  preprocess(request) {
    if (request.body === undefined) return request;
    const latent = latentOf(request.json() as Wish | null);
    return [tensor('latent', 'FP32', [latent.length / LATENT, LATENT], latent)];
  },

  async postprocess(response) {
    return reply(await drawSheet(response.output('image', 'FP32')), 'image/png');
  },
});

/** `{"seed": 7, "count": 20}` or `{"latent": [[8 numbers], …]}`. */
function latentOf(wish: Wish | null): Float32Array {
  if (typeof wish !== 'object' || wish === null)
    throw new InvalidRequest('Cannot read the body: expected an object such as {"seed": 7, "count": 20}');
  if (wish.latent !== undefined) return readLatent(wish.latent);
  const { seed = 0, count = 20 } = wish;
  if (!Number.isSafeInteger(seed)) throw new InvalidRequest('Cannot read "seed": expected an integer');
  if (typeof count !== 'number' || !Number.isInteger(count) || count < 1 || count > MAX_COUNT) {
    throw new InvalidRequest(`Cannot read "count": expected an integer from 1 to ${MAX_COUNT}`);
  }
  return standardNormal(seed as number, count * LATENT);
}

function readLatent(rows: unknown): Float32Array {
  const isRow = (row: unknown): row is number[] => Array.isArray(row) && row.length === LATENT && row.every((value) => typeof value === 'number');
  if (!Array.isArray(rows) || rows.length < 1 || rows.length > MAX_COUNT || !rows.every(isRow)) {
    throw new InvalidRequest(`Cannot read "latent": expected 1 to ${MAX_COUNT} lists of ${LATENT} numbers`);
  }
  return Float32Array.from(rows.flat());
}
