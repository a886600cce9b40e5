import { WeightsError } from '../errors.ts';

/** One tensor of a weight file; its values are read when they are wanted. */
export interface StoredWeight {
  readonly shape: readonly number[];
  readonly dtype: string;
  /** Called only after shape and dtype were found right. */
  readonly read: () => Float32Array;
}

/**
 * `layer/weight` of a weight as Keras names it: without `:0`, and without the models around it. `layer` is the group that
 * holds the weight, for names that say no layer.
 */
export function kerasName(weight: string, layer: string): string {
  const parts = weight.replace(/:\d+$/, '').split('/').filter(Boolean);
  return `${parts.at(-2) ?? layer.split('/').at(-1) ?? layer}/${parts.at(-1) ?? ''}`;
}

/** Kinds of layers that Keras numbers as they are created. */
const numbered = ['conv2d', 'batch_normalization'] as const;

/**
 * The same weights with unnamed layers counted from 1. Keras begins at `conv2d`, `conv2d_1`, or wherever other networks of
 * the process left its counter; only the order of the numbers says which layer is which, not the order in the file.
 */
export function creationNames<T>(weights: ReadonlyMap<string, T>, file: string): Map<string, T> {
  const layers = [...new Set([...weights.keys()].map((name) => name.slice(0, name.lastIndexOf('/'))))];
  const renamed = new Map<string, string>();
  for (const kind of numbered) {
    const found = layers.flatMap((layer) => {
      const match = new RegExp(`^${kind}(?:_(\\d{1,9}))?$`).exec(layer);
      return match === null ? [] : [{ layer, number: Number(match[1] ?? 0) }];
    });
    found.sort((a, b) => a.number - b.number);
    for (const [rank, { layer }] of found.entries()) renamed.set(layer, `${kind}_${rank + 1}`);
  }
  const named = new Map<string, T>();
  for (const [name, weight] of weights) {
    const at = name.lastIndexOf('/');
    const layer = name.slice(0, at);
    const own = (renamed.get(layer) ?? layer) + name.slice(at);
    if (named.has(own)) throw new WeightsError(`${file} holds two weights that are ${own}`);
    named.set(own, weight);
  }
  return named;
}
