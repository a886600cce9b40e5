import { createRng, randomInt, shuffled } from '../random.ts';

/**
 * Order and augmentation of training images, as a function of (seed, stream, epoch, position) alone. Batches have one fixed
 * size: an epoch is floor(images / batchSize) batches of a fresh shuffle, so each epoch leaves out another remainder; with
 * fewer images than one batch, the batch repeats them.
 */

/** Images of one size as bytes, side * side * channels each. */
export interface ImageSet {
  readonly side: number;
  readonly channels: 1 | 3;
  readonly images: readonly Uint8Array[];
  /** 0 negative, 1 positive. */
  readonly labels: readonly (0 | 1)[];
}

export interface Augmentation {
  readonly mirror: boolean;
  /** Largest shift as a share of the side. */
  readonly shift: number;
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

/** What one image at one place of one epoch undergoes: mirrored or not, then moved by whole pixels. */
export interface Move {
  readonly mirror: boolean;
  readonly right: number;
  readonly down: number;
}

export function drawMove(
  augmentation: Augmentation,
  options: {
    readonly seed: number;
    readonly stream: string;
    readonly epoch: number;
    readonly position: number;
    readonly side: number;
  },
): Move {
  const { seed, stream, epoch, position, side } = options;
  const rng = createRng(seed, `${stream}/augment/${epoch}`, position);
  const reach = Math.round(augmentation.shift * side);
  const mirror = rng() < 0.5 && augmentation.mirror;
  return { mirror, right: randomInt(rng, 2 * reach + 1) - reach, down: randomInt(rng, 2 * reach + 1) - reach };
}

/** Writes one image, moved, as 0..255 floats into `target` from `offset`; pixels from outside repeat the edge. */
export function writeMoved(
  target: Float32Array,
  offset: number,
  source: { readonly data: Uint8Array; readonly side: number; readonly channels: number; readonly move: Move },
): void {
  const { data, side, channels, move } = source;
  const last = side - 1;
  let out = offset;
  for (let y = 0; y < side; y++) {
    const fromY = Math.min(last, Math.max(0, y - move.down));
    for (let x = 0; x < side; x++) {
      const clamped = Math.min(last, Math.max(0, x - move.right));
      const from = (fromY * side + (move.mirror ? last - clamped : clamped)) * channels;
      for (let c = 0; c < channels; c++) target[out++] = data[from + c] ?? 0;
    }
  }
}
