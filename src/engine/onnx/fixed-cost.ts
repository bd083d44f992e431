import type { ProtoField } from './proto-reader.ts';

/** More nodes than a model has that runs within microseconds. */
export const MOST_FIXED_COST_NODES = 256;

/**
 * Operators whose work follows from the sizes of their inputs alone, and whose outputs hold no more elements than those sizes tell: no control flow, no sizes
 * taken from values (Range, Expand, Tile, Resize, NonZero, Loop …), no texts.
 */
const FIXED_COST: Readonly<Record<string, readonly string[]>> = {
  '': [
    ...['Abs', 'Add', 'And', 'ArgMax', 'ArgMin', 'AveragePool', 'BatchNormalization', 'Cast', 'Ceil', 'Clip', 'Concat', 'Constant', 'Conv'],
    ...['Cos', 'Div', 'Dropout', 'Elu', 'Equal', 'Erf', 'Exp', 'Flatten', 'Floor', 'Gather', 'Gelu', 'Gemm', 'GlobalAveragePool'],
    ...['GlobalMaxPool', 'Greater', 'GreaterOrEqual', 'HardSigmoid', 'HardSwish', 'Identity', 'InstanceNormalization', 'LayerNormalization'],
    ...['LeakyRelu', 'Less', 'LessOrEqual', 'Log', 'LogSoftmax', 'MatMul', 'Max', 'MaxPool', 'Mean', 'Min', 'Mul', 'Neg', 'Not', 'Or', 'PRelu'],
    ...['Pow', 'Reciprocal', 'ReduceMax', 'ReduceMean', 'ReduceMin', 'ReduceSum', 'Relu', 'Reshape', 'Round', 'Shape', 'Sigmoid', 'Sign', 'Sin'],
    ...['Slice', 'Softmax', 'Softplus', 'Split', 'Sqrt', 'Squeeze', 'Sub', 'Sum', 'Tanh', 'Transpose', 'Unsqueeze', 'Where', 'Xor'],
  ],
  'ai.onnx.ml': ['Binarizer', 'Imputer', 'LinearClassifier', 'LinearRegressor', 'Normalizer', 'Scaler', 'SVMClassifier', 'SVMRegressor'],
};

const KNOWN = new Map(Object.entries(FIXED_COST).map(([domain, operators]) => [domain, new Set(operators)]));

/** True when the node's work follows from the sizes of its inputs. `fields` are those of a NodeProto, `text` reads one of them. */
export function isFixedCostNode(fields: Iterable<ProtoField>, text: (field: ProtoField) => string): boolean {
  let operator = '';
  let domain = '';
  for (const field of fields) {
    if (field.number === 4) operator = text(field);
    else if (field.number === 7) domain = text(field);
  }
  return KNOWN.get(domain === 'ai.onnx' ? '' : domain)?.has(operator) === true;
}
