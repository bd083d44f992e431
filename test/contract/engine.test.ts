import { SILENT_LOGGER } from '../../src/core/context.ts';
import { engineByName, type EngineOptions, type EngineSession } from '../../src/engine/index.ts';
import { liveHandles } from '../../src/engine/native/index.ts';
import { describeEngine } from './describe-engine.ts';

const loader =
  (onnxBinding: EngineOptions['onnxBinding']) =>
  async (path: string): Promise<EngineSession> => {
    const engine = await engineByName('onnx');
    return engine.load({ path }, { onnxBinding, provider: 'cpu', intraOpThreads: 1, interOpThreads: 1 }, SILENT_LOGGER);
  };

describeEngine({ name: 'native', load: loader('native'), unsupported: [], liveHandles });

describeEngine({
  name: 'node',
  load: loader('node'),
  unsupported: [
    { what: 'BF16', reason: 'the package knows no such type and throws while it reads the metadata' },
    { what: 'NUL in strings', reason: 'the package passes C strings, cut at the NUL: refused rather than answered wrongly' },
    { what: 'bytes that are no UTF-8', reason: 'the package takes JavaScript strings' },
    { what: 'outputs that are no tensors', reason: 'the package throws "Non tensor type" when it reads them: left out of the signature' },
    { what: 'stop a run', reason: 'the package ignores the terminate flag and runs on the event loop' },
    { what: 'leave the event loop free', reason: 'the package runs the model on the event loop' },
  ],
});
