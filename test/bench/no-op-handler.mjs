import { defineHandler } from 'kserve-node';

/** User code that costs what user code costs, and no more. */
export default defineHandler({
  preprocess: (request) => request,
  postprocess: (response) => response,
});
