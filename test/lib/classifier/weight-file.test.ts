import { truncateSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import h5wasm from 'h5wasm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { readHdf5, writeHdf5 } from '../../../lib/classifier/hdf5.ts';
import { encodeKerasH5 } from '../../../lib/classifier/keras-h5.ts';
import { kerasLayerOrder } from '../../../lib/classifier/keras-order.ts';
import { architectureOf, createModel, type Model } from '../../../lib/classifier/model.ts';
import { maxWeightFileBytes } from '../../../lib/classifier/shape-layers.ts';
import { withWeightFile } from '../../../lib/classifier/weight-file.ts';
import { copyWeights, loadPretrainedTrunk, writeWeights } from '../../../lib/classifier/weights.ts';
import { loadEngine } from '../../../lib/engine/backend.ts';
import { tf } from '../../../lib/engine/tf.ts';
import { WeightsError } from '../../../lib/errors.ts';
import { createRng } from '../../../lib/random.ts';
import { recipe } from '../../../bench/reference/integer-recipe.ts';

/** TINY of bench/reference/keras_fixtures.py: 4 filters wherever there may be fewer. */
const config = {
  width: 0.01,
  blocks: [1, 1, 1] as [number, number, number],
  headUnits: 4,
  inputScaling: 'symmetric' as const,
};
const options = { name: 'tiny', config, inputSize: 75, channels: 3 as const };
const zeros = ({ shape }: { shape: readonly number[] }): Float32Array =>
  new Float32Array(shape.reduce((size, side) => size * side, 1));

let dir = '';
let model: Model;
let source: Model;
let tensors = 0;
beforeAll(async () => {
  await loadEngine();
  dir = await mkdtemp(join(tmpdir(), 'echoforge-weights-'));
  source = createModel({ ...options, name: 'source' }, recipe);
});
afterAll(async () => {
  source.dispose();
  model.dispose();
  await rm(dir, { recursive: true, force: true });
});
beforeEach(() => {
  (model as Model | undefined)?.dispose();
  model = createModel(options, zeros);
  tensors = tf.memory().numTensors;
});

const fixture = async (name: string): Promise<Buffer> =>
  gunzipSync(await readFile(new URL(`fixtures/${name}.gz`, import.meta.url)));
async function put(name: string, bytes: Uint8Array | string): Promise<string> {
  await writeFile(join(dir, name), bytes);
  return join(dir, name);
}
const isHead = (name: string): boolean => /^(dense_1|predictions)\//.test(name);
const trunkOf = (weights: ReadonlyMap<string, Float32Array>): Map<string, Float32Array> =>
  new Map([...weights].filter(([name]) => !isHead(name)));

function expectRecipeTrunk(): void {
  const weights = copyWeights(model);
  expect(trunkOf(weights)).toEqual(trunkOf(copyWeights(source)));
  for (const [name, values] of weights) if (isHead(name)) expect(new Set(values)).toEqual(new Set([0]));
}
async function expectRefusal(file: string, message: RegExp): Promise<void> {
  const refused = loadPretrainedTrunk(model, file);
  await expect(refused).rejects.toThrow(WeightsError);
  await expect(refused).rejects.toThrow(message);
  for (const values of copyWeights(model).values()) expect(values.every((value) => value === 0)).toBe(true);
  expect(tf.memory().numTensors).toBe(tensors);
  const left = (await h5wasm.ready).FS.readdir('/') as string[]; // untyped in h5wasm
  expect(left.filter((name) => name.startsWith('weights-'))).toEqual([]);
}

/** All weights of the recipe, as a file would list them. */
const listed = (): { name: string; shape: readonly number[]; values: Float32Array }[] =>
  source.plan.variables.map((spec) => ({ ...spec, values: recipe(spec) }));
const order = (): string[] => kerasLayerOrder(architectureOf(config));

describe('loadPretrainedTrunk', () => {
  it.each([
    ['keras-2-weights.h5', 'old weights, counters that begin at 8, split attributes'],
    ['keras-3-nested-model.h5', 'a whole model of Keras 3 around a nested trunk with another head'],
  ])('reads %s of Keras (%s), and leaves the head alone', async (name) => {
    const file = await put('any-name.bin', await fixture(name));
    const found = await loadPretrainedTrunk(model, file);
    expect(found).toMatchObject({ format: 'keras-h5', official: null });
    expectRecipeTrunk();
  });

  it('reads our own files', async () => {
    const file = join(dir, 'own.safetensors');
    await writeWeights(file, source, copyWeights(source));
    expect(await loadPretrainedTrunk(model, file)).toMatchObject({ format: 'safetensors' });
    expectRecipeTrunk();
  });

  it('reads no values of our own files before they are asked for', async () => {
    const file = join(dir, 'lazy.safetensors');
    await writeWeights(file, source, copyWeights(source));
    await withWeightFile(file, { maxBytes: maxWeightFileBytes(model.plan) }, (weights) => {
      truncateSync(file, 1000);
      for (const { read } of weights.values()) expect(read).toThrow(WeightsError);
    });
  });

  it('reads the shards of a TensorFlow.js layers model, whatever its topology says', async () => {
    const file = await putTfjs((weights) => weights);
    expect(await loadPretrainedTrunk(model, file)).toMatchObject({ format: 'tfjs-layers' });
    expectRecipeTrunk();
  });

  it('reads what it exports for Keras, head included', async () => {
    const file = await put('export.h5', await encodeKerasH5(order(), listed()));
    await loadPretrainedTrunk(model, file);
    expectRecipeTrunk();
    const limits = { maxBytes: maxWeightFileBytes(model.plan) };
    const read = await withWeightFile(file, limits, (weights) =>
      [...weights].map(([name, weight]) => [name, weight.read()] as const),
    );
    expect(new Map(read)).toEqual(copyWeights(source));
  });
});

type TfjsWeight = { name: string; shape: readonly number[]; dtype: string; quantization?: object };
async function putTfjs(
  change: (weights: TfjsWeight[]) => TfjsWeight[],
  { paths = ['group1-shard1of2.bin', 'group1-shard2of2.bin'], bytes = (all: Buffer) => all } = {},
): Promise<string> {
  const weights = listed();
  const data = bytes(Buffer.concat(weights.map(({ values }) => Buffer.from(values.buffer))));
  await put('group1-shard1of2.bin', data.subarray(0, 1001)); // shards end anywhere
  await put('group1-shard2of2.bin', data.subarray(1001));
  const specs = change(weights.map(({ name, shape }) => ({ name: `outer/${name}`, shape, dtype: 'float32' })));
  const json = { modelTopology: { keras_version: 'whatever' }, weightsManifest: [{ paths, weights: specs }] };
  return await put('model.json', JSON.stringify(json));
}

describe('a file that is refused', () => {
  it.each<[string, () => Promise<string>, RegExp]>([
    ['nothing', () => put('x', ''), /no weight file/],
    ['a zip archive', () => put('x', 'PK\x03\x04 model.keras'), /zip archive/],
    ['text', () => put('x', 'hello '.repeat(20)), /expected a Keras .h5/],
    ['broken JSON', () => put('x', '{"weightsManifest": ['), /neither a weight file nor JSON/],
    ['JSON without a manifest', () => put('x', '{"a": 1}'), /no weightsManifest/],
    ['too many bytes', () => put('x', new Uint8Array(70 * 2 ** 20)), /more than weights of this network/],
    ['a shard outside', () => putTfjs((w) => w, { paths: ['../secret'] }), /plain names of files/],
    ['a missing shard', () => putTfjs((w) => w, { paths: ['none.bin'] }), /not there/],
    ['short shards', () => putTfjs((w) => w, { bytes: (all) => all.subarray(0, -4) }), /truncated/],
    ['long shards', () => putTfjs((w) => w, { bytes: (all) => Buffer.concat([all, all]) }), /hold \d+ bytes/],
    ['quantised shards', () => putTfjs((w) => w.map((x) => ({ ...x, quantization: {} }))), /quantised/],
    ['integer shards', () => putTfjs((w) => w.map((x) => ({ ...x, dtype: 'int32' }))), /is int32, expected float32/],
    [
      'a weight twice',
      () => putTfjs((w) => w.map((x, i) => (i === 1 ? { ...x, name: w[0]?.name ?? '' } : x))),
      /twice/,
    ],
  ])('%s', async (_, make, message) => {
    await expectRefusal(await make(), message);
  });

  it('a network of another width, with its first differences', async () => {
    const other = createModel({ ...options, name: 'other', config: { ...config, width: 0.05 } }, recipe);
    const file = join(dir, 'other.safetensors');
    await writeWeights(file, other, copyWeights(other));
    other.dispose();
    await expectRefusal(file, /conv2d_\d+\/kernel has shape \[.*\], expected \[.*\]; .*; and \d+ more/);
  });

  it.each([
    ['with one more block35', [2, 1, 1], /conv2d_19\/kernel has shape/],
    ['with one more block8', [1, 1, 2], /is not expected; .*; and \d+ more/],
  ] as const)('a network %s', async (_, blocks, message) => {
    const other = createModel({ ...options, name: 'other', config: { ...config, blocks: [...blocks] } }, recipe);
    const file = join(dir, 'other.safetensors');
    await writeWeights(file, other, copyWeights(other));
    other.dispose();
    await expectRefusal(file, message);
  });

  it.each([
    ['not a number', 'conv2d_3/kernel', Number.NaN],
    ['infinite', 'conv_7b_bn/beta', Number.POSITIVE_INFINITY],
    ['a negative variance', 'batch_normalization_2/moving_variance', -0.5],
  ])('a weight that is %s', async (_, name, value) => {
    const weights = listed().map((w) => (w.name === name ? { ...w, values: w.values.fill(value, 1, 2) } : w));
    await expectRefusal(await put('bad.h5', await encodeKerasH5(order(), weights)), new RegExp(`${name}\\[1\\] is`));
  });

  it('a Keras file cut anywhere', async () => {
    const whole = await fixture('keras-2-weights.h5');
    for (let part = 0; part < 12; part++)
      await expectRefusal(
        await put('cut.h5', whole.subarray(0, 8 + Math.floor((whole.length * part) / 12))),
        /cut\.h5/,
      );
  });

  it('a Keras file with damaged bytes, unless they are only values', async () => {
    const whole = await fixture('keras-2-weights.h5');
    const rng = createRng(1, 'damage');
    let refusals = 0;
    for (let i = 0; i < 30; i++) {
      const damaged = Uint8Array.from(whole);
      for (let n = 0; n < 200; n++) damaged[8 + Math.floor(rng() * (damaged.length - 8))] = Math.floor(rng() * 256);
      const file = await put('damaged.h5', damaged);
      await loadPretrainedTrunk(model, file).catch((error: unknown) => {
        expect(error).toBeInstanceOf(WeightsError);
        refusals++;
      });
    }
    expect(refusals).toBeGreaterThan(5);
    expect(tf.memory().numTensors).toBe(tensors);
  });
});

describe('a hostile HDF5 file', () => {
  it('names layers or weights that are not there', async () => {
    const noLayer = await writeHdf5((writer) => writer.attribute('/', 'layer_names', ['conv2d_1']));
    await expectRefusal(await put('x.h5', noLayer), /lists the layer conv2d_1/);
    const noWeight = await writeHdf5((writer) => {
      writer.attribute('/', 'layer_names', ['conv2d_1']);
      writer.group('/conv2d_1');
      writer.attribute('/conv2d_1', 'weight_names', ['conv2d_1/kernel:0']);
    });
    await expectRefusal(await put('x.h5', noWeight), /lists the weight conv2d_1\/kernel:0/);
  });

  it('has no layer names, as Keras 3 writes .weights.h5', async () => {
    const bytes = await writeHdf5((writer) => writer.group('/layers'));
    await expectRefusal(await put('x.h5', bytes), /without Keras' layer_names/);
  });

  it.each<[string, (file: InstanceType<typeof h5wasm.File>) => void, RegExp]>([
    [
      'names longer than any layer has',
      (file) => {
        for (let i = 0; i < 3; i++) file.create_attribute(`layer_names${i}`, ['x'.repeat(60_000)], [1], 'S60000');
      },
      /lists the layer x+ but/,
    ],
    [
      'a list of names that are numbers',
      (file) => {
        file.create_attribute('layer_names', [1, 2, 3], [3], '<i');
      },
      /no list of names/,
    ],
    [
      'a link to another file',
      (file) => {
        file.create_attribute('layer_names', ['conv2d_1'], [1], 'S8');
        file.create_external_link('/etc/passwd', '/', 'conv2d_1');
      },
      /lists the layer conv2d_1/,
    ],
    [
      'a layer that is its own parent',
      (file) => {
        file.create_attribute('layer_names', ['conv2d_1'], [1], 'S8');
        file.create_soft_link('/', 'conv2d_1');
      },
      /does not fit/,
    ],
    [
      'a tensor of a tebibyte that is stored nowhere',
      (file) => {
        weight(file, { data: new Float32Array(), shape: [0], maxshape: [2 ** 20], chunks: [2 ** 20] });
      },
      /conv2d_1\/kernel has shape/,
    ],
    [
      'numbers of another kind',
      (file) => {
        weight(file, { shape: [3, 3, 3, 4], data: new Float64Array(108) });
      },
      /conv2d_1\/kernel is float64, expected float32/,
    ],
  ])('with %s', async (_, build, message) => {
    const library = await h5wasm.ready;
    const file = new h5wasm.File('/hostile.h5', 'w');
    build(file);
    file.close();
    const path = await put('hostile.h5', library.FS.readFile('/hostile.h5'));
    const rss = process.memoryUsage().rss;
    await expectRefusal(path, message);
    expect(process.memoryUsage().rss - rss).toBeLessThan(200 * 2 ** 20);
  });

  it('stores a tensor in chunks far larger than it', async () => {
    const file = new h5wasm.File('/hostile.h5', 'w');
    const shape = { shape: [8], maxshape: [null], chunks: [2 ** 21], compression: 9 };
    file.create_dataset({ name: 'x', data: new Float32Array(8), ...shape } as never); // as above
    file.close();
    const bytes = (await h5wasm.ready).FS.readFile('/hostile.h5');
    const read = readHdf5(bytes, 'x.h5', (root) => root.data('x')?.read());
    await expect(read).rejects.toThrow(/in chunks larger than itself/);
  });

  function weight(file: InstanceType<typeof h5wasm.File>, data: object): void {
    file.create_attribute('layer_names', ['conv2d_1'], [1], 'S8');
    const layer = file.create_group('conv2d_1');
    layer.create_attribute('weight_names', ['kernel:0'], [1], 'S8');
    layer.create_dataset({ name: 'kernel:0', data: new Float32Array(108), ...data } as never); // shapes of every kind
  }
});
