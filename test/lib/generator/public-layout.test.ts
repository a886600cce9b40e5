import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadEngine } from '../../../lib/engine/backend.ts';
import {
  plainTensor,
  readTensorFile,
  writeTensorFile,
  type StoredTensor,
  type TensorFile,
} from '../../../lib/engine/tensor-file.ts';
import { tf } from '../../../lib/engine/tf.ts';
import { featureMaps, noiseSizes, styleCount, type NetworkShape } from '../../../lib/generator/architecture.ts';
import { mapping, synthesis } from '../../../lib/generator/network.ts';
import { fromPublicLayout, toPublicLayout } from '../../../lib/generator/public-layout.ts';
import { normals } from '../../../lib/generator/state.ts';
import { createRng } from '../../../lib/random.ts';
import { createToolWorld, type ToolWorld } from '../synthesis/tool-world.ts';
import { recipeValues } from './recipe.ts';
import { smallShape } from './small.ts';

/** Against a generator in PyTorch's own layers under the public names; bench/reference/public_generator.py made the fixture. */

interface Fixture {
  readonly shape: Pick<NetworkShape, 'resolution' | 'channels' | 'latentSize' | 'mappingLayers'> & { widths: number[] };
  readonly images: number[];
}
const fixtures = fileURLToPath(new URL('fixtures/', import.meta.url));
let published: TensorFile;
let fixture: Fixture;
let world: ToolWorld;
let dir = '';

beforeAll(async () => {
  await loadEngine();
  published = await readTensorFile(join(fixtures, 'public-16px.safetensors'));
  fixture = JSON.parse(await readFile(join(fixtures, 'public-16px.json'), 'utf8')) as Fixture; // as the script writes it
  world = await createToolWorld();
  dir = await mkdtemp(join(tmpdir(), 'echoforge-public-'));
});
afterAll(async () => {
  await world.dispose();
  await rm(dir, { recursive: true, force: true });
});

const bytesOf = (tensors: ReadonlyMap<string, StoredTensor>): Record<string, unknown> =>
  Object.fromEntries(
    [...tensors].map(([name, { shape, values }]) => [name, [shape, Buffer.from(values.slice().buffer)]]),
  );
const without = (file: TensorFile, name: string): TensorFile => ({
  ...file,
  tensors: new Map([...file.tensors].filter(([other]) => other !== name)),
});
const withTensor = (file: TensorFile, name: string, tensor: StoredTensor): TensorFile => ({
  ...file,
  tensors: new Map([...file.tensors, [name, tensor]]),
});
const zeros = (...shape: number[]): StoredTensor => {
  const size = shape.reduce((product, side) => product * side, 1);
  return { shape, dtype: 'float32', values: new Float32Array(size) };
};

describe('the public layout', () => {
  it('tells the sizes of the network', () => {
    const { shape } = fromPublicLayout(published, 'file');
    const { widths, ...sizes } = fixture.shape;
    expect(shape).toMatchObject(sizes);
    expect([4, 8, 16].map((resolution) => featureMaps(shape, resolution))).toEqual(widths);
  });

  it('makes the images that PyTorch makes of it', () => {
    const { shape, snapshot, noise } = fromPublicLayout(published, 'file');
    const weights = new Map([...snapshot.tensors].map(([name, t]) => [name, tf.tensor(t.values, t.shape)]));
    const z = tf.tensor2d(recipeValues('public/z', 2 * shape.latentSize), [2, shape.latentSize]);
    const w = mapping(weights, shape, z);
    const maps = noise.map((map, i) => tf.tensor4d(map, [1, noiseSizes(shape)[i]!, noiseSizes(shape)[i]!, 1]));
    const ws = Array.from({ length: styleCount(shape) }, () => w);
    const images = synthesis(weights, shape, { ws, noise: maps }).dataSync();
    const largest = Math.max(...fixture.images.map(Math.abs));
    const worst = Math.max(...fixture.images.map((value, i) => Math.abs(value - images[i]!)));
    expect(images).toHaveLength(fixture.images.length);
    expect(worst / largest).toBeLessThan(1e-5);
  });

  it('comes back from a snapshot to the bit, styles far from 1 included', () => {
    const found = fromPublicLayout(published, 'file');
    expect(found.snapshot.metadata).toHaveProperty(['echoforge.styleBiasRemainder']); // there is something to lose
    expect(bytesOf(toPublicLayout(found).tensors)).toEqual(bytesOf(published.tensors));
  });

  it('gives a snapshot back as the same file', async () => {
    const snapshot = await readTensorFile(world.generator.weightsFile);
    const bias = snapshot.tensors.get('synthesis/b8/conv0/affineBias')!.values;
    bias.set(normals(bias.length, createRng(1, 'bias')).map((value) => value / 3)); // 0 at the start
    const noise = noiseSizes(smallShape).map((side) => normals(side * side, createRng(1, 'noise')));
    const there = toPublicLayout({ shape: smallShape, snapshot, noise });
    const back = fromPublicLayout(there, 'file');
    expect(bytesOf(new Map(back.noise.map((values, i) => [String(i), { ...zeros(), values }])))).toEqual(
      bytesOf(new Map(noise.map((values, i) => [String(i), { ...zeros(), values }]))),
    );
    const written = async (file: TensorFile, name: string): Promise<Buffer> => {
      const plain = [...file.tensors].map(([tensor, stored]) => [tensor, plainTensor(stored)] as const);
      await writeTensorFile(join(dir, name), Object.fromEntries(plain), file.metadata);
      return await readFile(join(dir, name));
    };
    expect((await written(back.snapshot, 'back')).equals(await written(snapshot, 'original'))).toBe(true);
  });
});

describe('refusals', () => {
  it.each([
    ['a missing tensor', () => without(published, 'convs.2.activate.bias'), /convs\.2\.activate\.bias is missing/],
    ['an unknown tensor', () => withTensor(published, 'convs.9.bias', zeros(3)), /convs\.9\.bias is not expected/],
    [
      'another shape',
      () => withTensor(published, 'to_rgbs.1.bias', zeros(3)),
      /to_rgbs\.1\.bias has shape \[3\], expected \[1, 3, 1, 1\]/,
    ],
    ['no mean style', () => without(published, 'latent_avg'), /latent_avg is missing/],
    [
      'another filter',
      () => withTensor(published, 'to_rgbs.0.upsample.kernel', zeros(4, 4)),
      /to_rgbs\.0\.upsample\.kernel .*\[1, 3, 3, 1\]/,
    ],
    ['a snapshot of ours', () => readTensorFile(world.generator.weightsFile), /has no conv1\.conv\.weight: expected/],
  ])('names %s', async (_, file, message) => {
    const found = await file();
    expect(() => fromPublicLayout(found, 'g.safetensors')).toThrow(message);
  });

  it('refuses a generator that the layout cannot say', () => {
    const snapshot = { tensors: new Map(), metadata: {} };
    const residual = { ...smallShape, gArchitecture: 'resnet' } as const;
    expect(() => toPublicLayout({ shape: residual, snapshot, noise: [] })).toThrow(/architecture skip .* got resnet/);
    expect(() => toPublicLayout({ shape: smallShape, snapshot, noise: [] })).toThrow(/the snapshot does not fit: /);
  });
});
