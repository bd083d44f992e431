// Written by `kserve-node types`. Write it again when the model changes.

/** What the model model takes and gives, for `defineHandler<Model>`. */
export interface Model {
  readonly inputs: {
    /** FP32 [batch, 64] */
    readonly input: { readonly datatype: 'FP32'; readonly shape: readonly [number, 64] };
  };
  readonly outputs: {
    /** INT64 [batch] */
    readonly label: { readonly datatype: 'INT64'; readonly shape: readonly [number] };
    /** FP32 [batch, 10] */
    readonly probabilities: { readonly datatype: 'FP32'; readonly shape: readonly [number, 10] };
  };
}
