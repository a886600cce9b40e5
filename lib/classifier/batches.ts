import { createRng, shuffled } from '../random.ts';

/**
 * Order of training images, as a function of (seed, stream, epoch) alone. Batches have one fixed size: an epoch is
 * floor(images / batchSize) batches of a fresh shuffle, so each epoch leaves out another remainder; with fewer images than
 * one batch, the batch repeats them.
 */

/** Images of one size as bytes, side * side * channels each. */
export interface ImageSet {
  readonly side: number;
  readonly channels: 1 | 3;
  readonly images: readonly Uint8Array[];
  /** 0 negative, 1 positive. */
  readonly labels: readonly (0 | 1)[];
}

export function stepsPerEpoch(images: number, batchSize: number): number {
  return Math.max(1, Math.floor(images / batchSize));
}

/** Indices of one epoch, at least `batchSize` of them. */
export function epochOrder(
  images: number,
  options: { readonly seed: number; readonly stream: string; readonly epoch: number; readonly batchSize: number },
): number[] {
  const { seed, stream, epoch, batchSize } = options;
  const indices = Array.from({ length: images }, (_, i) => i);
  const order = shuffled(indices, createRng(seed, `${stream}/order`, epoch));
  return Array.from({ length: Math.max(images, batchSize) }, (_, i) => order[i % images] ?? 0);
}
