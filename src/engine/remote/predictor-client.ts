import { connect, InferenceError, type ConnectOptions, type InferenceClient, type InferenceResponse } from '../../client/index.ts';

export type PredictorClient = Pick<InferenceClient, 'infer' | 'isModelReady' | 'modelMetadata' | 'close'>;

/** What servers answer to a body that they cannot read. */
const NOT_UNDERSTOOD: ReadonlySet<number | undefined> = new Set([400, 406, 415, 422]);

/**
 * A client of the predictor. `mayLackBinary`: tensors are sent raw, but a predictor that refuses the first ones is asked again in JSON, and when it takes that, always. Nothing
 * tells beforehand: KServe's servers know the binary extension without listing it. Throws InferenceError for an address that cannot be used.
 */
export function connectPredictor(url: string, options: ConnectOptions, mayLackBinary: boolean): PredictorClient {
  const client = connect(url, options);
  if (!mayLackBinary) return client;
  let form: 'untried' | 'binary' | 'json' = 'untried';
  let jsonClient: InferenceClient | undefined;
  let isClosed = false;

  function overJson(...call: Parameters<InferenceClient['infer']>): Promise<InferenceResponse> {
    jsonClient ??= connect(url, { ...options, binary: false });
    if (isClosed) jsonClient.close();
    return jsonClient.infer(...call);
  }

  return {
    async infer(model, inference, callOptions) {
      if (form === 'json') return overJson(model, inference, callOptions);
      try {
        const response = await client.infer(model, inference, callOptions);
        if (inference.body === undefined) form = 'binary';
        return response;
      } catch (thrown) {
        const mayBeForm = form === 'untried' && inference.body === undefined;
        if (!mayBeForm || !(thrown instanceof InferenceError) || !NOT_UNDERSTOOD.has(thrown.status)) throw thrown;
      }
      const response = await overJson(model, inference, callOptions);
      if (form === 'untried') form = 'json';
      return response;
    },
    isModelReady: (model, version, callOptions) => client.isModelReady(model, version, callOptions),
    modelMetadata: (model, version, callOptions) => client.modelMetadata(model, version, callOptions),
    close: () => {
      isClosed = true;
      client.close();
      jsonClient?.close();
    },
  };
}
