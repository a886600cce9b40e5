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
  const next = numpyNormals(args.seed);
  const draw = (count: number): Float32Array => Float32Array.from({ length: count }, () => next());
  const z = draw(args.latentSize);
  return { z, noise: args.noiseSizes.map((side) => draw(side * side)) };
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
  seeds.forEach((seed, slot) => {
    const one = inputsForSeed({ seed, latentSize, noiseSizes });
    z.set(one.z, slot * latentSize);
    one.noise.forEach((map, layer) => noise[layer]?.set(map, slot * map.length));
  });
  return { z, noise };
}
