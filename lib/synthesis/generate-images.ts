import type { EngineContext, GenerateImagesTask, NamedFile, ToolOutput } from '../../contract/engine.ts';
import { loadEngine } from '../engine/backend.ts';
import { loadSampler } from '../generator/sampler.ts';
import type { RawImage } from '../image/raw-image.ts';
import { blocksOfSeeds, memberOfSeed, sampleSeeds } from './sample-seeds.ts';
import { writePng } from './tool-files.ts';
import { sharedNoise } from './tool-noise.ts';

/**
 * One PNG per listed seed in the work directory. With the noise of the seed, each file is the one that the synthesis of a
 * study writes for this snapshot, seed and psi: the same blocks of seeds, the same slots, the same text.
 * Source: generate-images of StyleGAN2 (stylegan2.md 4.3); `--noise-mode const|none` of its successors.
 *
 * Throws WeightsError, or the signal's reason when aborted.
 */
export async function generateImages(task: GenerateImagesTask, context: EngineContext): Promise<ToolOutput> {
  const { generator, seeds, psi, batchSize } = task;
  const { resolution, channels } = generator.image;
  const total = seeds.length;
  await context.emit({ type: 'progress', phase: 'load', done: 0, total });
  await loadEngine();
  const sampler = await loadSampler({ model: generator, settings: context.settings, batchSize });
  const files = new Map<number, NamedFile>();
  try {
    const noise = sharedNoise(task.noise, { noiseSizes: sampler.noiseSizes, batchSize, seed: task.seed });
    for (const block of blocksOfSeeds(seeds, batchSize)) {
      context.signal.throwIfAborted();
      const images = sampleSeeds(sampler, {
        seeds: block,
        psi,
        resolution,
        channels,
        ...(noise && { noise }),
      });
      for (const [slot, image] of images.entries()) {
        const seed = (block[0] ?? 0) + slot;
        if (seeds.includes(seed)) files.set(seed, await writeImage(task, { seed, image, dir: context.workDir }));
      }
      await context.emit({ type: 'progress', phase: 'synthesize', done: files.size, total });
    }
    context.signal.throwIfAborted();
  } finally {
    sampler.dispose();
  }
  return { files: seeds.map((seed) => files.get(seed)).filter((file) => file !== undefined) };
}

function writeImage(
  task: GenerateImagesTask,
  { seed, image, dir }: { readonly seed: number; readonly image: RawImage; readonly dir: string },
): Promise<NamedFile> {
  // As synthesis writes it; another kind of noise is another image and says so.
  const text = { seed: String(seed), psi: String(task.psi) };
  const noise = task.noise === 'seed' ? {} : { noise: task.noise };
  return writePng(task, { dir, name: memberOfSeed(seed), image, text: { ...text, ...noise } });
}
