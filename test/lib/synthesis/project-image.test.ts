import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ProjectImageOutput, ProjectImageTask } from '../../../contract/engine.ts';
import { readTensorFile } from '../../../lib/engine/tensor-file.ts';
import { tf } from '../../../lib/engine/tf.ts';
import { explorationNoise, projectionRate } from '../../../lib/generator/projection.ts';
import { multiScaleDistance, noiseRegulariser, normalised } from '../../../lib/generator/projection-loss.ts';
import { decodePng } from '../../../lib/image/png.ts';
import { readPngText } from '../../../lib/png-metadata/png-text.ts';
import { generateImages } from '../../../lib/synthesis/generate-images.ts';
import { projectImage } from '../../../lib/synthesis/project-image.ts';
import { createToolWorld, type ToolWorld } from './tool-world.ts';

let world: ToolWorld;
let targetFile = '';
let stateDir = '';
beforeAll(async () => {
  world = await createToolWorld({ noiseStrength: 0 });
  const generated = { ...world.task, seeds: [3], psi: 0.5, noise: 'constant' as const };
  const { files } = await generateImages(generated, world.context());
  targetFile = files[0]!.file;
  stateDir = await mkdtemp(join(tmpdir(), 'echoforge-projection-'));
});
afterAll(async () => {
  await world.dispose();
  await rm(stateDir, { recursive: true, force: true });
});

const project = (over: Partial<ProjectImageTask> = {}): Promise<ProjectImageOutput> => {
  const task = { ...world.task, targetFile, stateFile: null, steps: 200, untilStep: 200, ...over };
  return projectImage(task, world.context());
};
const losses = async ({ files }: ProjectImageOutput): Promise<number[][]> => {
  const text = await readFile(files.find(({ name }) => name === 'loss.csv')!.file, 'utf8');
  return text
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => line.split(',').map(Number));
};

const bytesOf = async ({ files }: ProjectImageOutput): Promise<Record<string, string>> => {
  const entries = files.map(async ({ name, file }) => [name, (await readFile(file)).toString('base64')] as const);
  return Object.fromEntries(await Promise.all(entries));
};

describe('projectImage', () => {
  it('recovers a generated image: the distance falls to that of rounding to bytes', async () => {
    const made = await project();
    const rows = await losses(made);
    expect(rows).toHaveLength(200);
    expect(rows[0]![1]).toBeGreaterThan(0.1);
    expect(rows[199]![1]).toBe(made.distance);
    expect(made.distance).toBeLessThan(1e-5); // a step of 2 / 255 has a variance of 5e-6
    expect(rows[199]![2]).toBeLessThan(rows[0]![2]! / 1e6); // the maps are noise again
  });

  it('gives in pieces the bytes of a single run', async () => {
    const whole = { ...(await bytesOf(await project({ steps: 20, untilStep: 20 }))) };
    const first = await project({ steps: 20, untilStep: 7 });
    expect(first.files).toEqual([]);
    const stateFile = join(stateDir, 'state.safetensors');
    await copyFile(first.stateFile, stateFile);
    expect(await bytesOf(await project({ steps: 20, untilStep: 20, stateFile }))).toEqual(whole);
    expect(await bytesOf(await project({ steps: 20, untilStep: 20, seed: 2 }))).not.toEqual(whole);
  });

  it('leaves target, projection, both beside each other, the way there, and w', async () => {
    const { files } = await project({ steps: 10, untilStep: 10 });
    const read = async (name: string): Promise<Buffer> =>
      await readFile(files.find((file) => file.name === name)!.file);
    const sizes: Record<string, number[]> = {};
    for (const name of ['target.png', 'projection.png', 'comparison.png', 'strip.png']) {
      const { width, height } = await decodePng(await read(name));
      sizes[name] = [width, height];
    }
    expect(Object.values(sizes)).toEqual([
      [8, 8],
      [8, 8],
      [16, 8],
      [48, 8],
    ]);
    expect((await decodePng(await read('target.png'))).data).toEqual(
      (await decodePng(await readFile(targetFile))).data,
    );
    expect(readPngText(await read('projection.png'))).toMatchObject({
      class: 'malignant',
      loss: expect.stringContaining('not LPIPS') as string,
    });
    const { tensors, metadata } = await readTensorFile(files.find(({ name }) => name === 'w.safetensors')!.file);
    expect([...tensors.keys()]).toEqual(['noise0', 'noise1', 'noise2', 'w']);
    expect([tensors.get('w')?.shape, metadata['snapshot']]).toEqual([[1, 8], 'abc']);
  });

  it('refuses a target of another size, ends when aborted, and leaves no tensor behind', async () => {
    const tensors = tf.memory().numTensors;
    const { files } = await project({ steps: 10, untilStep: 10 });
    const wide = join(stateDir, 'wide.png');
    await copyFile(files.find(({ name }) => name === 'comparison.png')!.file, wide);
    await expect(project({ targetFile: wide })).rejects.toThrow(
      /a target of 8x8 px with 1 channels, found 16x8 with 1/,
    );
    const task = { ...world.task, targetFile, stateFile: null, steps: 10, untilStep: 10 };
    await expect(projectImage(task, world.context(AbortSignal.abort()))).rejects.toThrow(/aborted/);
    expect(tf.memory().numTensors).toBe(tensors);
  });
});

describe('the schedule', () => {
  it('rises in the first twentieth and falls as a cosine in the last quarter', () => {
    const rates = [0, 25, 50, 500, 750, 875, 1000].map((step) => projectionRate(step, 1000));
    [0, 0.05, 0.1, 0.1, 0.1, 0.05, 0].forEach((wanted, i) => expect(rates[i]).toBeCloseTo(wanted, 12));
  });

  it('shakes w by a twentieth of its deviation, to nothing at three quarters', () => {
    const noise = [0, 375, 750, 900].map((step) => explorationNoise(step, { steps: 1000, wStd: 2 }));
    [0.1, 0.025, 0, 0].forEach((wanted, i) => expect(noise[i]).toBeCloseTo(wanted, 12));
  });
});

describe('the loss', () => {
  const map = (side: number, value: (y: number, x: number) => number): tf.Tensor4D =>
    tf.tensor4d(
      Float32Array.from({ length: side * side }, (_, i) => value(Math.floor(i / side), i % side)),
      [1, side, side, 1],
    );
  const valueOf = (scalar: tf.Scalar): number => scalar.dataSync()[0]!;

  it('finds no noise in stripes: the mean product with the next pixel is 1 along them and -1 across', () => {
    expect(valueOf(noiseRegulariser([map(4, (y) => (y % 2) * 2 - 1)]))).toBeCloseTo(2, 6);
    expect(valueOf(noiseRegulariser([map(4, (y, x) => ((y + x) % 4 < 2 ? 1 : -1))]))).toBeCloseTo(0, 6);
    // At 16 px also at 8: a constant map is 1 everywhere, in both directions, at both scales.
    expect(valueOf(noiseRegulariser([map(16, () => 1)]))).toBeCloseTo(4, 6);
  });

  it('brings a map back to mean 0 and mean square 1', () => {
    const values = [...normalised(map(4, (y, x) => 3 + y * x)).dataSync()];
    const mean = (of: (value: number) => number): number => values.reduce((sum, value) => sum + of(value), 0) / 16;
    expect(mean((value) => value)).toBeCloseTo(0, 5);
    expect(mean((value) => value ** 2)).toBeCloseTo(1, 5);
  });

  it('compares images at every scale down to 8 px', () => {
    const checks = map(16, (y, x) => (y + x) % 2); // mean 1/2 at 8 px
    expect(
      valueOf(
        multiScaleDistance(
          checks,
          map(16, () => 0),
        ),
      ),
    ).toBeCloseTo((1 / 2 + 1 / 4) / 2, 6);
    expect(
      valueOf(
        multiScaleDistance(
          map(512, () => 2),
          map(512, () => 1),
        ),
      ),
    ).toBeCloseTo(1, 6);
  });
});
