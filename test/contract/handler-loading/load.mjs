/** Loads handlers with the built package, each path of the arguments; prints a line of JSON for each. Runs where no module loader of a test is in the way. */
import { pathToFileURL } from 'node:url';

const { loadHandler } = await import(new URL('../../../dist/handler/index.js', import.meta.url).href);
process.on('warning', () => undefined);
for (const path of process.argv.slice(2)) {
  try {
    const handler = await loadHandler(path);
    process.stdout.write(`${JSON.stringify({ url: pathToFileURL(path).href, answer: await handler.predict?.() })}\n`);
  } catch (error) {
    process.stdout.write(`${JSON.stringify({ reason: error.reason, message: error.message })}\n`);
  }
}
