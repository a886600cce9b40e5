import { readFile } from 'node:fs/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EngineContext, InterpolateLatentsTask, MixStylesTask, ToolOutput } from '../../../contract/engine.ts';
import { tf } from '../../../lib/engine/tf.ts';
import { decodePng } from '../../../lib/image/png.ts';
import { readPngText } from '../../../lib/png-metadata/png-text.ts';
import { generateImages } from '../../../lib/synthesis/generate-images.ts';
import { interpolateLatents } from '../../../lib/synthesis/interpolate-latents.ts';
import { mixStyles } from '../../../lib/synthesis/mix-styles.ts';
import { sweepTruncation } from '../../../lib/synthesis/sweep-truncation.ts';
import { createToolWorld, type ToolWorld } from './tool-world.ts';

/** Style mixing, truncation sweep and interpolation on real TensorFlow at 8 px (4 layers). */
let world: ToolWorld;
beforeAll(async () => {
  world = await createToolWorld();
});
afterAll(() => world.dispose());

type Images = Readonly<Record<string, string>>;

/** Pixels of every PNG, as hex. */
async function pixelsOf({ files }: ToolOutput): Promise<Images> {
  const pngs = files.filter(({ name }) => name.endsWith('.png'));
  const entries = pngs.map(async ({ name, file }): Promise<[string, string]> => {
    return [name, Buffer.from((await decodePng(await readFile(file))).data).toString('hex')];
  });
  return Object.fromEntries(await Promise.all(entries));
}
const generated = async (seeds: number[], psi: number, noise: 'seed' | 'constant'): Promise<Images> =>
  await pixelsOf(await generateImages({ ...world.task, seeds, psi, noise }, world.context()));

describe('mixStyles', () => {
  const mix = (over: Partial<MixStylesTask> = {}): Promise<ToolOutput> => {
    const seeds = { rowSeeds: [1, 2], columnSeeds: [3, 4, 5], columnStyles: [0, 1] };
    return mixStyles({ ...world.task, ...seeds, psi: 1, noise: 'constant', ...over }, world.context());
  };

  it('gives the row seed with no styles of the column, the column seed with all of them', async () => {
    const [rows, columns] = [
      await pixelsOf(await mix({ columnStyles: [] })),
      await pixelsOf(await mix({ columnStyles: [0, 1, 2, 3] })),
    ];
    const plain = await generated([1, 2, 3, 4, 5], 1, 'constant');
    for (const row of [1, 2])
      for (const column of [3, 4, 5]) {
        expect(rows[`${row}-${column}.png`]).toBe(plain[`seed0000${row}.png`]);
        expect(columns[`${row}-${column}.png`]).toBe(plain[`seed0000${column}.png`]);
      }
  });

  it('mixes: coarse and fine layers of the column give other images, complementary when roles are swapped', async () => {
    const [coarse, fine] = [await pixelsOf(await mix()), await pixelsOf(await mix({ columnStyles: [2, 3] }))];
    expect(coarse['1-3.png']).not.toBe(fine['1-3.png']);
    const swapped = { rowSeeds: [3], columnSeeds: [1], columnStyles: [2, 3] };
    expect((await pixelsOf(await mix(swapped)))['3-1.png']).toBe(coarse['1-3.png']);
  });

  it('lays the grid out with the seeds above and beside their mixes', async () => {
    const { files } = await mix();
    expect(files.map(({ name }) => name)).toEqual([
      ...['1-3.png', '1-4.png', '1-5.png', '2-3.png', '2-4.png', '2-5.png', 'grid.png'],
    ]);
    const png = await readFile(files.at(-1)!.file);
    const grid = await decodePng(png);
    expect([grid.width, grid.height]).toEqual([4 * 8, 3 * 8]);
    const cell = (column: number, row: number): string =>
      Array.from({ length: 8 }, (_, y) => {
        const start = (row * 8 + y) * grid.width + column * 8;
        return Buffer.from(grid.data.subarray(start, start + 8)).toString('hex');
      }).join('');
    const plain = await generated([2, 4], 1, 'constant');
    expect([cell(2, 0), cell(0, 2)]).toEqual([plain['seed00004.png'], plain['seed00002.png']]);
    expect(cell(2, 2)).toBe((await pixelsOf(await mix()))['2-4.png']);
    expect(readPngText(png)).toMatchObject({ rowSeeds: '1,2', columnSeeds: '3,4,5', columnStyles: '0,1', psi: '1' });
  });
});

describe('sweepTruncation', () => {
  it('gives each seed at each psi the pixels that synthesis gives it', async () => {
    const task = { ...world.task, seeds: [2, 7], psi: [0, 0.5, 1.6], noise: 'seed' as const };
    const sweep = await pixelsOf(await sweepTruncation(task, world.context()));
    for (const psi of task.psi) {
      const plain = await generated([2, 7], psi, 'seed');
      for (const seed of [2, 7]) expect(sweep[`seed0000${seed}-psi${psi}.png`]).toBe(plain[`seed0000${seed}.png`]);
    }
    expect(new Set(Object.values(sweep)).size).toBe(7);
  });

  it('holds one image of a block when one seed of it was asked for', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const held = (): number => {
      collect();
      return process.memoryUsage().heapUsed;
    };
    const seeds = Array.from({ length: 60 }, (_, block) => 512 * block);
    const memory: number[] = [];
    const emit: EngineContext['emit'] = (event) => {
      if (event.type === 'progress' && [1, 60].includes(event.done)) memory.push(held());
      return Promise.resolve();
    };
    const task = { ...world.task, seeds, psi: [1], noise: 'none' as const, batchSize: 512 };
    expect((await sweepTruncation(task, { ...world.context(), emit })).files).toHaveLength(61);
    const [first = Number.NaN, last = Number.NaN] = memory;
    expect((last - first) / (59 * 511)).toBeLessThan(20); // bytes per image that nobody asked for, 64 px each
  });
});

describe('interpolateLatents', () => {
  const film = (over: Partial<InterpolateLatentsTask> = {}): Promise<ToolOutput> => {
    const path = { seeds: [1, 2, 3], framesBetween: 2, space: 'w' as const, frameMs: 40 };
    return interpolateLatents({ ...world.task, ...path, psi: 1, noise: 'constant', ...over }, world.context());
  };
  const frames = async ({ files }: ToolOutput): Promise<string[]> => {
    const image = sharp(files[0]!.file, { animated: true });
    const { pages = 0, delay, loop } = await image.metadata();
    expect([delay?.[0], loop]).toEqual([40, 0]);
    const { data, info } = await image.extractChannel(0).raw().toBuffer({ resolveWithObject: true });
    const size = info.width * (info.height / pages);
    return Array.from({ length: pages }, (_, i) => data.subarray(i * size, (i + 1) * size).toString('hex'));
  };

  it.each(['z', 'w'] as const)('passes through the seeds and back, losslessly, in %s', async (space) => {
    const plain = await generated([1, 2, 3], 1, 'constant');
    const shown = await frames(await film({ space }));
    expect(shown).toHaveLength(9);
    expect([shown[0], shown[3], shown[6]]).toEqual([1, 2, 3].map((seed) => plain[`seed0000${seed}.png`]));
    expect(new Set(shown).size).toBeGreaterThan(6); // neighbouring frames of 64 pixels may agree
  });

  it('takes another way in z than in w, and the same bytes again', async () => {
    expect(await frames(await film({ space: 'z' }))).not.toEqual(await frames(await film()));
    const bytes = async (): Promise<Buffer> => await readFile((await film()).files[0]!.file);
    expect((await bytes()).equals(await bytes())).toBe(true);
  });
});

it('the style tools leave no tensor behind', async () => {
  const tensors = tf.memory().numTensors;
  const one = { ...world.task, psi: 1, noise: 'none' as const };
  await mixStyles({ ...one, rowSeeds: [1], columnSeeds: [2], columnStyles: [0] }, world.context());
  await interpolateLatents({ ...one, seeds: [1, 2], framesBetween: 1, space: 'z', frameMs: 40 }, world.context());
  expect(tf.memory().numTensors).toBe(tensors);
});
