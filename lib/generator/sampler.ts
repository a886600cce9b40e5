import type { EngineSettings, GeneratorModel } from '../../contract/engine.ts';
import { classSides } from '../../contract/manifests.ts';
import { compileStep } from '../engine/compile.ts';
import { tf } from '../engine/tf.ts';
import { createVariable } from '../engine/variables.ts';
import { generatorVariables, networkShapeOf, noiseSizes, styleCount, type NetworkShape } from './architecture.ts';
import { loadSnapshot } from './checkpoint.ts';
import { oneHot } from './data.ts';
import { mapping, synthesis } from './network.ts';

/** Images from a generator's averaged weights: latents and noise in, pixels out, in a fixed batch compiled once. */

export interface SamplerInput {
  /** [batch, latentSize] */
  readonly z: Float32Array;
  /** Per noise map, in layer order, [batch, side, side, 1]. */
  readonly noise: readonly Float32Array[];
  /** Classes to make, one-hot [batch, classes]; of conditional generators only. */
  readonly labels?: Float32Array;
  /** Truncation: w' = wAvg + psi (w - wAvg). 1 is none, 0 the mean image, above 1 extrapolates. */
  readonly psi: number;
}

export interface Sampler {
  readonly batchSize: number;
  readonly latentSize: number;
  /** Sides of the noise maps in layer order. */
  readonly noiseSizes: readonly number[];
  /** Pixels as the network gives them, [batch, R, R, channels], about [-1, 1]. */
  sampleRaw(input: SamplerInput): Float32Array;
  /** 8-bit pixels, floor(127.5 y + 128) limited to 0..255 (stylegan2.md 2.10), [batch, R, R, channels]. */
  sample(input: SamplerInput): Uint8Array;
  dispose(): void;
}

/** 8-bit pixels of generated images, as the metrics and the generator tool of the reference make them. */
export function toBytes(pixels: Float32Array): Uint8Array {
  const bytes = new Uint8ClampedArray(pixels.length); // limits to 0..255
  for (let i = 0; i < pixels.length; i++) bytes[i] = Math.floor(127.5 * (pixels[i] ?? 0) + 128);
  return new Uint8Array(bytes.buffer);
}

/** 8-bit pixels of image grids: round((y + 1) 127.5), limited to 0..255. */
export function toGridBytes(pixels: Float32Array): Uint8Array {
  return Uint8Array.from(pixels, (y) => Math.min(255, Math.max(0, Math.round((y + 1) * 127.5))));
}

function checkInput(
  input: SamplerInput,
  options: { batchSize: number; latentSize: number; sides: readonly number[]; classes: number },
): void {
  const { batchSize, latentSize, sides, classes } = options;
  if (input.z.length !== batchSize * latentSize)
    throw new RangeError(`expected z of ${batchSize} x ${latentSize} values, got ${input.z.length}`);
  if ((input.labels?.length ?? 0) !== batchSize * classes)
    throw new RangeError(`expected labels of ${batchSize} x ${classes} values, got ${input.labels?.length ?? 0}`);
  if (input.noise.length !== sides.length)
    throw new RangeError(`expected ${sides.length} noise maps, got ${input.noise.length}`);
  sides.forEach((side, i) => {
    const found = input.noise[i]?.length;
    if (found !== batchSize * side * side)
      throw new RangeError(`expected noise map ${i} of ${batchSize} x ${side} x ${side} values, got ${found ?? 0}`);
  });
}

/**
 * z [N, latentSize] and, in conditional generators, one-hot labels [N, classes] -> w' = wAvg + psi (w - wAvg), [N, latentSize].
 * wAvg is the mean style of all classes, as in the reference.
 */
export function truncatedStyles(
  generator: Pick<LoadedGenerator, 'weights' | 'wAvg' | 'shape'>,
  latents: { readonly z: tf.Tensor2D; readonly psi: tf.Scalar; readonly labels?: tf.Tensor2D },
): tf.Tensor2D {
  const { weights, wAvg, shape } = generator;
  const { z, psi, labels } = latents;
  return tf.add(wAvg, tf.mul(tf.sub(mapping(weights, shape, z, labels), wAvg), psi));
}

/** Compiles sampling from the given weights, which stay the caller's. */
export function createSampler(options: {
  readonly name: string;
  readonly weights: ReadonlyMap<string, tf.Variable>;
  readonly wAvg: tf.Variable;
  readonly shape: NetworkShape;
  readonly settings: EngineSettings;
  readonly batchSize: number;
}): Sampler {
  const { weights, wAvg, shape, batchSize } = options;
  const { latentSize } = shape;
  const sides = noiseSizes(shape);
  const float = (dims: readonly number[]): { shape: readonly number[]; dtype: 'float32' } => ({
    shape: dims,
    dtype: 'float32',
  });
  const step = compileStep({
    name: options.name,
    settings: options.settings,
    configuration: shape,
    variables: [...weights.values(), wAvg],
    inputs: {
      z: float([batchSize, latentSize]),
      psi: float([]),
      ...(shape.labels > 0 && { labels: float([batchSize, shape.labels]) }),
      ...Object.fromEntries(sides.map((side, i) => [`noise${i}`, float([batchSize, side, side, 1])])),
    },
    step: (inputs) => {
      const latents = inputs as unknown as Parameters<typeof truncatedStyles>[1]; // as declared
      const noise = sides.map((_, i) => inputs[`noise${i}`] as tf.Tensor4D); // as declared
      const w = truncatedStyles({ weights, wAvg, shape }, latents);
      const ws = Array.from({ length: styleCount(shape) }, () => w);
      return { images: synthesis(weights, shape, { ws, noise }) };
    },
  });
  const sampleRaw = (input: SamplerInput): Float32Array => {
    checkInput(input, { batchSize, latentSize, sides, classes: shape.labels });
    const inputs = {
      z: tf.tensor2d(input.z, [batchSize, latentSize]),
      psi: tf.scalar(input.psi),
      ...(shape.labels > 0 && { labels: tf.tensor2d(input.labels ?? [], [batchSize, shape.labels]) }),
      ...Object.fromEntries(
        sides.map((side, i) => [`noise${i}`, tf.tensor4d(input.noise[i] ?? [], [batchSize, side, side, 1])]),
      ),
    };
    const outputs = step.run(inputs);
    const pixels = outputs['images']?.dataSync<'float32'>();
    tf.dispose([inputs, outputs]);
    if (pixels === undefined) throw new RangeError('the sampling step returned no images');
    return pixels;
  };
  return {
    batchSize,
    latentSize,
    noiseSizes: sides,
    sampleRaw,
    sample: (input) => toBytes(sampleRaw(input)),
    dispose: () => step.dispose(),
  };
}

let loadedGenerators = 0;

/** An averaged generator in memory. */
export interface LoadedGenerator {
  readonly shape: NetworkShape;
  readonly weights: ReadonlyMap<string, tf.Variable>;
  /** [latentSize] */
  readonly wAvg: tf.Variable;
  /** One-hot rows [count, classes] of the class that the model is asked for; null where there is one class. */
  readonly labelsOf: (count: number) => Float32Array | null;
  readonly dispose: () => void;
}

/**
 * Loads the weights of a snapshot. The caller disposes them.
 * @throws WeightsError when the file does not hold this generator
 */
export async function loadGenerator(model: GeneratorModel): Promise<LoadedGenerator> {
  const shape = networkShapeOf(model.config, model.image);
  const label = model.label === undefined ? -1 : classSides.indexOf(model.label);
  if (shape.labels > 0 === label < 0)
    throw new RangeError(`a generator of ${shape.labels} labels was asked for class ${model.label ?? 'none'}`);
  const labelsOf = (count: number): Float32Array | null =>
    shape.labels === 0 ? null : oneHot(new Array<number>(count).fill(label), shape.labels);
  const prefix = `sampler${loadedGenerators++}`; // tfjs wants unique names; results do not depend on them
  const zero = (name: string, dims: readonly number[]): tf.Variable =>
    createVariable(`${prefix}/${name}`, dims, new Float32Array(dims.reduce((size, side) => size * side, 1)), false);
  const weights = new Map(generatorVariables(shape).map((spec) => [spec.name, zero(spec.name, spec.shape)] as const));
  const wAvg = zero('wAvg', [shape.latentSize]);
  const dispose = (): void => {
    for (const variable of [...weights.values(), wAvg]) variable.dispose();
  };
  try {
    await loadSnapshot(model.weightsFile, { weights, wAvg });
  } catch (error) {
    dispose();
    throw error;
  }
  return { shape, weights, wAvg, labelsOf, dispose };
}

/**
 * Loads a snapshot for sampling in batches of `batchSize`. The caller disposes it.
 * @throws WeightsError when the file does not hold this generator
 */
export async function loadSampler(options: {
  readonly model: GeneratorModel;
  readonly settings: EngineSettings;
  readonly batchSize: number;
}): Promise<Sampler> {
  const { model, settings, batchSize } = options;
  const { shape, weights, wAvg, labelsOf, dispose } = await loadGenerator(model);
  const sampler = createSampler({ name: 'sample', weights, wAvg, shape, settings, batchSize });
  const labels = labelsOf(batchSize);
  const labelled = (input: SamplerInput): SamplerInput => (labels === null ? input : { ...input, labels });
  return {
    ...sampler,
    sampleRaw: (input) => sampler.sampleRaw(labelled(input)),
    sample: (input) => sampler.sample(labelled(input)),
    dispose: () => {
      sampler.dispose();
      dispose();
    },
  };
}
