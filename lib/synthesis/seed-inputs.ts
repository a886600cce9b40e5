import { numpyNormals } from './numpy-random.ts';

/** What one seed feeds to a generator. */
export interface SeedInputs {
  /** [latentSize] */
  readonly z: Float32Array;
  /** Per noise map, in layer order, [side, side]. */
  readonly noise: readonly Float32Array[];
}

/**
 * Latents of one image: RandomState(seed).randn(latentSize), as float32.
 * Source: the generate-images tool of StyleGAN2 (stylegan2.md 4.3).
 */
export function latentsForSeed({
  seed,
  latentSize,
}: {
  readonly seed: number;
  readonly latentSize: number;
}): Float32Array {
  return inputsForSeed({ seed, latentSize, noiseSizes: [] }).z;
}

/** Latents and then, from the same stream, the noise maps in layer order: one seed is one image, noise included. */
export function inputsForSeed(args: {
  readonly seed: number;
  readonly latentSize: number;
  /** Sides of the noise maps in layer order. */
  readonly noiseSizes: readonly number[];
}): SeedInputs {
  const { z, noise } = inputsForSeeds({ ...args, seeds: [args.seed] });
  return { z, noise };
}

/** Inputs of a whole batch, seed by seed: z [batch, latentSize] and each noise map [batch, side, side, 1]. */
export function inputsForSeeds(args: {
  readonly seeds: readonly number[];
  readonly latentSize: number;
  readonly noiseSizes: readonly number[];
}): { readonly z: Float32Array; readonly noise: readonly Float32Array[] } {
  const { seeds, latentSize, noiseSizes } = args;
  const z = new Float32Array(seeds.length * latentSize);
  const noise = noiseSizes.map((side) => new Float32Array(seeds.length * side * side));
  for (const [slot, seed] of seeds.entries()) {
    const fill = numpyNormals(seed);
    for (const inputs of [z, ...noise]) {
      const size = inputs.length / seeds.length;
      fill(inputs.subarray(slot * size, (slot + 1) * size));
    }
  }
  return { z, noise };
}
