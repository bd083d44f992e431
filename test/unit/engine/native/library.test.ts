import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { callAsync, functionAt, openLibrary, readPointerTable } from '../../../../src/engine/native/index.ts';
import { findOrtLibrary } from '../../../../src/engine/onnx/ort-runtime.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** `const char *GetVersionString(void)`, taken by address; nothing here refers to the library afterwards. */
function versionFunction(): ReturnType<typeof functionAt<'string', readonly []>> {
  const base = openLibrary(findOrtLibrary()).symbol('OrtGetApiBase', 'pointer', [])();
  return functionAt(readPointerTable(base!, 2)[1]!, 'string', []);
}

test('a function taken by address, after its library object is collected, can still be called', async () => {
  const version = versionFunction();
  const before = version();
  expect(before).toMatch(/^\d+\.\d+\.\d+/);
  for (let round = 0; round < 5; round++) {
    collect();
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(version()).toBe(before);
});

test('an asynchronous call settles with the result of the function', async () => {
  const version = versionFunction();
  expect(
    await callAsync<string | null>((done) => {
      version.async(done);
    }),
  ).toBe(version());
});

test('a library that is not there throws the reason', () => {
  expect(() => openLibrary('/nowhere/libnothing.so')).toThrow(/libnothing/);
});
