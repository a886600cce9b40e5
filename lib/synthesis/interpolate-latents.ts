import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { EngineContext, InterpolateLatentsTask, ToolOutput } from '../../contract/engine.ts';
import { loadEngine } from '../engine/backend.ts';
import { loadStyleSampler } from '../generator/style-sampler.ts';
import { encodeAnimation } from '../image/animation.ts';
import { composeGrid } from '../image/grid.ts';
import type { RawImage } from '../image/raw-image.ts';
import { closedPath, lerp, slerp } from './latent-path.ts';
import { imagesOfStyles, latentsOfSeeds, mapAll } from './style-images.ts';
import { writePng } from './tool-files.ts';
import { sharedNoise } from './tool-noise.ts';

/**
 * A film through the seeds and back: linear in w, or along great circles in z, under one noise. `film.webp` (lossless) and
 * `keyframes.png`. StyleGAN2's own tools (stylegan2.md 4.3) make no film, so there is no way between latents to follow.
 *
 * Throws WeightsError, or the signal's reason when aborted.
 */
export async function interpolateLatents(task: InterpolateLatentsTask, context: EngineContext): Promise<ToolOutput> {
  const { generator, seeds, framesBetween, space, psi, batchSize, frameMs } = task;
  const total = seeds.length * (framesBetween + 1);
  await context.emit({ type: 'progress', phase: 'load', done: 0, total });
  await loadEngine();
  const sampler = await loadStyleSampler({ model: generator, settings: context.settings, batchSize });
  const frames: RawImage[] = [];
  try {
    const latents = latentsOfSeeds(seeds, sampler);
    const ws =
      space === 'w'
        ? closedPath(mapAll(sampler, latents, psi), framesBetween, lerp)
        : mapAll(sampler, closedPath(latents, framesBetween, slerp), psi);
    const styles = ws.map((w) => Array.from({ length: sampler.styleCount }, () => w));
    const noise = sharedNoise(task.noise, { noiseSizes: sampler.noiseSizes, batchSize, seed: task.seed });
    for (const batch of imagesOfStyles(sampler, { styles, noise, size: generator.image })) {
      context.signal.throwIfAborted();
      frames.push(...batch);
      await context.emit({ type: 'progress', phase: 'synthesize', done: frames.length, total });
    }
  } finally {
    sampler.dispose();
  }
  const dir = context.workDir;
  const film = { name: 'film.webp', file: join(dir, 'film.webp') };
  await writeFile(film.file, await encodeAnimation(frames, { frameMs }));
  const keyframes = frames.filter((_, i) => i % (framesBetween + 1) === 0);
  const image = composeGrid(keyframes, { columns: keyframes.length, rows: 1 });
  const text = { seeds: seeds.join(','), psi: String(psi), noise: task.noise };
  return { files: [film, await writePng(task, { dir, name: 'keyframes.png', image, text })] };
}
