import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import ts from 'typescript';
import { interfaceName, renderModelTypes } from '../../../src/cli/model-types.ts';
import { runTypes } from '../../../src/cli/types.ts';
import { FakeHost } from './fake-host.ts';

/** Texts of the syntax errors that TypeScript finds. */
function syntaxErrors(text: string): readonly string[] {
  const { diagnostics = [] } = ts.transpileModule(text, { reportDiagnostics: true, fileName: 'model.ts' });
  return diagnostics.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
}

describe('renderModelTypes', () => {
  it('keeps names that are no identifiers, or would end a string or a comment, as they are', () => {
    const names = ["it's", 'a"b', '*/', 'line\nbreak', 'back\\slash', '__proto__', '1st', '', '\u2028', 'ünïcode'];
    const inputs = names.map((name) => ({ name, datatype: 'BYTES' as const, shape: [-1], dimensionNames: ['*/ x'] }));
    const text = renderModelTypes('odd */ name', { inputs, outputs: [] });
    expect(syntaxErrors(text)).toEqual([]);
    const source = ts.createSourceFile('model.ts', text, ts.ScriptTarget.Latest, true);
    const found: string[] = [];
    const visit = (node: ts.Node): void => {
      if (ts.isPropertySignature(node) && ts.isTypeLiteralNode(node.parent) && node.type !== undefined && ts.isTypeLiteralNode(node.type)) {
        found.push((node.name as ts.StringLiteral | ts.Identifier).text);
      }
      node.forEachChild(visit);
    };
    visit(source);
    expect(found).toEqual(names);
  });

  it('leaves the number of dimensions open where the model does not tell it', () => {
    const text = renderModelTypes('m', { inputs: [{ name: 'x', datatype: 'FP32', shape: [] }], outputs: [] });
    expect(text).toContain("readonly x: { readonly datatype: 'FP32'; readonly shape: readonly number[] };");
    expect(text).toContain('readonly outputs: {};');
  });

  it.each([
    ['digits-mlp', 'DigitsMlp'],
    ['model', 'Model'],
    ['3d cnn', 'Model3dCnn'],
    ['---', 'Model'],
    ['größe', 'Größe'],
    ['a.b_c', 'ABC'],
  ])('names the interface of model %j %s', (name, expected) => {
    expect(interfaceName(name)).toBe(expected);
    expect(syntaxErrors(renderModelTypes(name, { inputs: [], outputs: [] }))).toEqual([]);
  });
});

describe('the templates', () => {
  it.each(['predictor', 'image'])('%s has the types of the model that init puts beside it', async (template) => {
    const root = resolve(import.meta.dirname, '../../..');
    const host = new FakeHost();
    expect(await runTypes([resolve(root, 'examples/digits/model'), '--out', '-'], host)).toBe(0);
    expect(host.out).toBe(readFileSync(resolve(root, `templates/${template}/model.d.ts`), 'utf8'));
  });
});
