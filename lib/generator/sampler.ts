import type { EngineSettings, GeneratorModel } from '../../contract/engine.ts';
import { compileStep } from '../engine/compile.ts';
import { tf } from '../engine/tf.ts';
import { createVariable } from '../engine/variables.ts';
import { generatorVariables, networkShapeOf, noiseSizes, styleCount, type NetworkShape } from './architecture.ts';
import { loadSnapshot } from './checkpoint.ts';
import { mapping, synthesis } from './network.ts';

/** Images from a generator's averaged weights: latents and noise in, pixels out, in a fixed batch compiled once. */

export interface SamplerInput {
  /** [batch, latentSize] */
  readonly z: Float32Array;
  /** Per noise map, in layer order, [batch, side, side, 1]. */
  readonly noise: readonly Float32Array[];
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
  options: { batchSize: number; latentSize: number; sides: readonly number[] },
): void {
  const { batchSize, latentSize, sides } = options;
  if (input.z.length !== batchSize * latentSize)
    throw new RangeError(`expected z of ${batchSize} x ${latentSize} values, got ${input.z.length}`);
  if (input.noise.length !== sides.length)
    throw new RangeError(`expected ${sides.length} noise maps, got ${input.noise.length}`);
  sides.forEach((side, i) => {
    const found = input.noise[i]?.length;
    if (found !== batchSize * side * side)
      throw new RangeError(`expected noise map ${i} of ${batchSize} x ${side} x ${side} values, got ${found ?? 0}`);
  });
}

/** z [N, latentSize] -> w' = wAvg + psi (w - wAvg), [N, latentSize]. */
export function truncatedStyles(
  generator: Pick<LoadedGenerator, 'weights' | 'wAvg' | 'shape'>,
  z: tf.Tensor2D,
  psi: tf.Scalar,
): tf.Tensor2D {
  const { weights, wAvg, shape } = generator;
  return tf.add(wAvg, tf.mul(tf.sub(mapping(weights, shape, z), wAvg), psi));
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
      ...Object.fromEntries(sides.map((side, i) => [`noise${i}`, float([batchSize, side, side, 1])])),
    },
    step: (inputs) => {
      const { z, psi } = inputs as { z: tf.Tensor2D; psi: tf.Scalar }; // as declared
      const noise = sides.map((_, i) => inputs[`noise${i}`] as tf.Tensor4D); // as declared
      const w = truncatedStyles({ weights, wAvg, shape }, z, psi);
      const ws = Array.from({ length: styleCount(shape) }, () => w);
      return { images: synthesis(weights, shape, { ws, noise }) };
    },
  });
  const sampleRaw = (input: SamplerInput): Float32Array => {
    checkInput(input, { batchSize, latentSize, sides });
    const inputs = {
      z: tf.tensor2d(input.z, [batchSize, latentSize]),
      psi: tf.scalar(input.psi),
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
  readonly dispose: () => void;
}

/**
 * Loads the weights of a snapshot. The caller disposes them.
 * @throws WeightsError when the file does not hold this generator
 */
export async function loadGenerator(model: GeneratorModel): Promise<LoadedGenerator> {
  const shape = networkShapeOf(model.config, model.image);
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
  return { shape, weights, wAvg, dispose };
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
  const { shape, weights, wAvg, dispose } = await loadGenerator(model);
  const sampler = createSampler({ name: 'sample', weights, wAvg, shape, settings, batchSize });
  return {
    ...sampler,
    dispose: () => {
      sampler.dispose();
      dispose();
    },
  };
}
