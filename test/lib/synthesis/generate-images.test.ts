import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GenerateImagesTask } from '../../../contract/engine.ts';
import { readShard } from '../../../lib/dataset/shard.ts';
import { tf } from '../../../lib/engine/tf.ts';
import { decodePng } from '../../../lib/image/png.ts';
import { readPngText } from '../../../lib/png-metadata/png-text.ts';
import { generateImages } from '../../../lib/synthesis/generate-images.ts';
import { synthesizeShards } from '../../../lib/synthesis/synthesize-shards.ts';
import { createToolWorld, type ToolWorld } from './tool-world.ts';

let world: ToolWorld;
beforeAll(async () => {
  world = await createToolWorld();
});
afterAll(() => world.dispose());

async function pngsOf(over: Partial<GenerateImagesTask>): Promise<Map<string, Buffer>> {
  const task = { ...world.task, seeds: [1, 2], psi: 1.6, noise: 'seed' as const, ...over };
  const { files } = await generateImages(task, world.context());
  const pngs = new Map<string, Buffer>();
  for (const { name, file } of files) pngs.set(name, await readFile(file));
  return pngs;
}

describe('generateImages', () => {
  it('writes the very files that synthesis writes for the same seeds and psi, in the order asked for', async () => {
    const pngs = await pngsOf({ seeds: [9, 2, 3] });
    expect([...pngs.keys()]).toEqual(['seed00009.png', 'seed00002.png', 'seed00003.png']);
    const [shard] = await synthesizeShards(
      { ...world.task, side: 'positive', psi: 1.6, shards: [{ firstSeed: 1, lastSeed: 9 }] },
      world.context(),
    );
    for (const { entry, png } of await readShard(shard!))
      if (pngs.has(entry.member)) expect(pngs.get(entry.member)?.equals(png)).toBe(true);
  });

  it('gives another image for another psi and for each kind of noise, and says which in the file', async () => {
    const all = [
      await pngsOf({ seeds: [2] }),
      await pngsOf({ seeds: [2], psi: 1 }),
      await pngsOf({ seeds: [2], noise: 'constant' }),
      await pngsOf({ seeds: [2], noise: 'none' }),
    ].map((pngs) => pngs.get('seed00002.png')!);
    const pixels = await Promise.all(all.map((png) => readPixels(png)));
    expect(new Set(pixels).size).toBe(4);
    expect(all.map((png) => readPngText(png)['noise'])).toEqual([undefined, undefined, 'constant', 'none']);
    expect(readPngText(all[1]!)).toEqual({ class: 'malignant', seed: '2', psi: '1', snapshot: 'abc' });
  });

  it('puts the same constant noise under every seed of every batch', async () => {
    // At psi 0 all latents are the mean: only noise could tell images apart.
    const pngs = await pngsOf({ seeds: [1, 2, 3, 4, 5], psi: 0, noise: 'constant' });
    expect(new Set(await Promise.all([...pngs.values()].map((png) => readPixels(png)))).size).toBe(1);
    const own = await pngsOf({ seeds: [1, 2], psi: 0 });
    expect(new Set(await Promise.all([...own.values()].map((png) => readPixels(png)))).size).toBe(2);
    const other = await pngsOf({ seeds: [1], psi: 0, noise: 'constant', seed: 2 });
    expect(await readPixels(other.get('seed00001.png')!)).not.toBe(await readPixels(pngs.get('seed00001.png')!));
  });

  it('leaves no tensor behind and ends when aborted', async () => {
    const tensors = tf.memory().numTensors;
    await pngsOf({});
    expect(tf.memory().numTensors).toBe(tensors);
    const task = { ...world.task, seeds: [1], psi: 1, noise: 'none' as const };
    await expect(generateImages(task, world.context(AbortSignal.abort()))).rejects.toThrow(/aborted/);
    expect(tf.memory().numTensors).toBe(tensors);
  });
});

async function readPixels(png: Uint8Array): Promise<string> {
  return Buffer.from((await decodePng(png)).data).toString('hex');
}
