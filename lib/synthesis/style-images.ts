import type { StyleSampler } from '../generator/style-sampler.ts';
import type { RawImage } from '../image/raw-image.ts';
import { latentsForSeed } from './seed-inputs.ts';

/** From latents to styles to images, in whole batches whatever the number of images. */

/** Truncated w of each latent, [latentSize] each; the last batch is filled up by repeating its first latent. */
export function mapAll(sampler: StyleSampler, latents: readonly Float32Array[], psi: number): Float32Array[] {
  const { batchSize, latentSize } = sampler;
  const ws: Float32Array[] = [];
  for (let start = 0; start < latents.length; start += batchSize) {
    const batch = latents.slice(start, start + batchSize);
    const w = sampler.map(stack(batch, { batchSize, latentSize }), psi);
    batch.forEach((_, slot) => ws.push(w.slice(slot * latentSize, (slot + 1) * latentSize)));
  }
  return ws;
}

export function latentsOfSeeds(seeds: readonly number[], { latentSize }: StyleSampler): Float32Array[] {
  return seeds.map((seed) => latentsForSeed({ seed, latentSize }));
}

/** One style per layer, each [latentSize]. */
export type LayerStyles = readonly Float32Array[];

/** Images of styles, batch after batch; `noise` per map [batch, side, side, 1], `size` as the network makes them. */
export function* imagesOfStyles(
  sampler: StyleSampler,
  args: {
    readonly styles: readonly LayerStyles[];
    readonly noise: readonly Float32Array[];
    readonly size: { readonly resolution: number; readonly channels: 1 | 3 };
  },
): Generator<RawImage[]> {
  const { batchSize, latentSize, styleCount } = sampler;
  const { resolution, channels } = args.size;
  const bytes = resolution * resolution * channels;
  for (let start = 0; start < args.styles.length; start += batchSize) {
    const batch = args.styles.slice(start, start + batchSize);
    const ws = Array.from({ length: styleCount }, (_, layer) =>
      stack(
        batch.map((styles) => styles[layer] ?? new Float32Array(0)),
        { batchSize, latentSize },
      ),
    );
    const pixels = sampler.synthesize(ws, args.noise);
    yield batch.map((_, slot) => {
      const data = pixels.slice(slot * bytes, (slot + 1) * bytes);
      return { width: resolution, height: resolution, channels, data };
    });
  }
}

function stack(
  rows: readonly Float32Array[],
  { batchSize, latentSize }: { readonly batchSize: number; readonly latentSize: number },
): Float32Array {
  const all = new Float32Array(batchSize * latentSize);
  for (let slot = 0; slot < batchSize; slot++) {
    const row = rows[slot] ?? rows[0];
    if (row?.length !== latentSize)
      throw new RangeError(`expected vectors of ${latentSize} values, got ${row?.length ?? 0}`);
    all.set(row, slot * latentSize);
  }
  return all;
}
