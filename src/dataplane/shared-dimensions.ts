import { invalidRequest } from '../core/errors.ts';
import type { Signature } from '../core/metadata.ts';
import type { Tensor } from '../core/tensor.ts';

/** A place where a named dimension occurs. */
interface Occurrence {
  readonly input: string;
  readonly axis: number;
}

/** Per signature: the dimensions that occur more than once, so that most models cost nothing. */
const SHARED = new WeakMap<Signature, readonly (readonly [name: string, occurrences: readonly Occurrence[]])[]>();

/**
 * Varying dimensions of one name have one size, within an input and across inputs. The inputs agree with the signature otherwise. Throws
 * invalid_request that names both places and both sizes.
 */
export function checkSharedDimensions(inputs: readonly Tensor[], signature: Signature): void {
  for (const [name, occurrences] of sharedDimensions(signature)) {
    let first: { readonly input: string; readonly axis: number; readonly size: number } | undefined;
    for (const { input, axis } of occurrences) {
      const size = inputs.find((tensor) => tensor.name === input)?.shape[axis];
      if (size === undefined) continue;
      first ??= { input, axis, size };
      if (size !== first.size) {
        throw invalidRequest(
          `Cannot use input "${input}": expected ${first.size} for dimension ${axis} ("${name}"), as dimension ${first.axis} of input "${first.input}", got ${size}`,
        );
      }
    }
  }
}

function sharedDimensions(signature: Signature): readonly (readonly [string, readonly Occurrence[]])[] {
  const known = SHARED.get(signature);
  if (known !== undefined) return known;
  const byName = new Map<string, Occurrence[]>();
  for (const { name: input, shape, dimensionNames } of signature.inputs) {
    dimensionNames?.forEach((name, axis) => {
      if (name === undefined || name === '' || shape[axis] !== -1) return;
      const occurrences = byName.get(name) ?? [];
      occurrences.push({ input, axis });
      byName.set(name, occurrences);
    });
  }
  const shared = [...byName].filter(([, occurrences]) => occurrences.length > 1);
  SHARED.set(signature, shared);
  return shared;
}
