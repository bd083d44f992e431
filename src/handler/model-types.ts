import type { Datatype } from '../core/datatype.ts';
import type { NamedTensor } from './tensor.ts';

/** Tensors by name, e.g. a model's inputs. */
export type TensorTypes = Readonly<Record<string, { readonly datatype: Datatype; readonly shape: readonly number[] }>>;

/** A model's inputs and outputs by name, as `kserve-node types` writes them. */
export interface ModelTypes {
  readonly inputs: TensorTypes;
  readonly outputs: TensorTypes;
}

export type NameIn<Side extends TensorTypes> = keyof Side & string;

/** The tensors of one side of a model: their names and datatypes are checked by the compiler. */
export type TensorsOf<Side extends TensorTypes> = { readonly [Name in NameIn<Side>]: NamedTensor<Name, Side[Name]['datatype']> }[NameIn<Side>];
