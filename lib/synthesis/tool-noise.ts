import type { NoiseMode } from '../../contract/tools.ts';
import { normals } from '../generator/state.ts';
import { createRng } from '../random.ts';

interface BatchNoise {
  readonly noiseSizes: readonly number[];
  readonly batchSize: number;
  /** Of the study. */
  readonly seed: number;
}

/**
 * Noise maps for every slot of a batch, each [batch, side, side, 1]; null leaves each seed its own maps. The original keeps
 * constant maps in the network; our snapshots hold none, so `constant` draws them from the study's seed.
 */
export function sharedNoise(mode: Exclude<NoiseMode, 'seed'>, options: BatchNoise): readonly Float32Array[];
export function sharedNoise(mode: NoiseMode, options: BatchNoise): readonly Float32Array[] | null;
export function sharedNoise(
  mode: NoiseMode,
  { noiseSizes, batchSize, seed }: BatchNoise,
): readonly Float32Array[] | null {
  if (mode === 'seed') return null;
  return noiseSizes.map((side, layer) => {
    const all = new Float32Array(batchSize * side * side);
    if (mode === 'none') return all;
    const map = normals(side * side, createRng(seed, 'tools/constant-noise', layer));
    for (let slot = 0; slot < batchSize; slot++) all.set(map, slot * map.length);
    return all;
  });
}
