import type { RawImage } from '../image/raw-image.ts';
import type { Sampler } from '../generator/sampler.ts';
import { inputsForSeeds, type SeedInputs } from './seed-inputs.ts';

/** Name of a seed's image inside its shard: `seed00001.png`, more digits where needed. */
export function memberOfSeed(seed: number): string {
  return `seed${String(seed).padStart(5, '0')}.png`;
}

/** Images of one full batch of seeds, in the order given. `seeds` must fill the sampler's batch. */
export function sampleSeeds(
  sampler: Sampler,
  args: {
    readonly seeds: readonly number[];
    readonly psi: number;
    readonly resolution: number;
    readonly channels: 1 | 3;
    /** Maps for all slots, instead of those of the seeds. */
    readonly noise?: readonly Float32Array[];
    /** What the seeds give, if it was drawn before. */
    readonly inputs?: SeedInputs;
  },
): RawImage[] {
  const { seeds, psi, resolution, channels } = args;
  if (seeds.length !== sampler.batchSize)
    throw new RangeError(`sampleSeeds expects ${sampler.batchSize} seeds, one per slot, got ${seeds.length}`);
  const { latentSize, noiseSizes } = sampler;
  const own = args.inputs ?? inputsForSeeds({ seeds, latentSize, noiseSizes });
  const pixels = sampler.sample({ z: own.z, noise: args.noise ?? own.noise, psi }); // [batch, R, R, channels]
  const size = resolution * resolution * channels;
  return seeds.map((_, slot) => ({
    width: resolution,
    height: resolution,
    channels,
    data: pixels.slice(slot * size, (slot + 1) * size),
  }));
}

/**
 * The blocks of seeds that hold firstSeed..lastSeed. Block k is always the seeds k B .. k B + B - 1, seed s in slot s mod B:
 * seeds outside the range are computed and dropped, so an image's bytes never depend on who asked for it.
 */
export function seedBlocks(args: {
  readonly firstSeed: number;
  readonly lastSeed: number;
  readonly batchSize: number;
}): number[][] {
  const { firstSeed, lastSeed, batchSize } = args;
  const whole = [firstSeed, lastSeed, batchSize].every((value) => Number.isInteger(value));
  if (!whole || firstSeed < 0 || lastSeed < firstSeed || batchSize < 1)
    throw new RangeError(
      `seedBlocks expects 0 <= first <= last and a batch, got ${firstSeed}, ${lastSeed}, ${batchSize}`,
    );
  const first = Math.floor(firstSeed / batchSize);
  const count = Math.floor(lastSeed / batchSize) - first + 1;
  return Array.from({ length: count }, (_, k) =>
    Array.from({ length: batchSize }, (_unused, slot) => (first + k) * batchSize + slot),
  );
}

/** The whole blocks that hold the listed seeds, each once, in the order of their first mention. */
export function blocksOfSeeds(seeds: readonly number[], batchSize: number): number[][] {
  const firsts = new Set(seeds.map((seed) => seed - (seed % batchSize)));
  return [...firsts].flatMap((seed) => seedBlocks({ firstSeed: seed, lastSeed: seed, batchSize }));
}
