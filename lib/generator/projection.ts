import type { EngineSettings, GeneratorModel } from '../../contract/engine.ts';
import { createAdam } from '../engine/adam.ts';
import { compileStep } from '../engine/compile.ts';
import { tf } from '../engine/tf.ts';
import { createVariable } from '../engine/variables.ts';
import { createRng } from '../random.ts';
import { noiseSizes, styleCount } from './architecture.ts';
import { mapping, synthesis } from './network.ts';
import { multiScaleDistance, noiseRegulariser, normalised } from './projection-loss.ts';
import { loadGenerator, type LoadedGenerator } from './sampler.ts';
import { normals } from './state.ts';

/**
 * Finds the w whose image is nearest to a target (Karras et al. 2020, appendix D; stylegan2.md 4.4): one w for all layers, from
 * the mean of the mapped latents, and all noise maps, by Adam.
 */

/** Peak of the learning rate, and the shares of the steps in which it rises and falls. */
const rate = { peak: 0.1, rampUp: 0.05, rampDown: 0.25 } as const;
/** Noise on w: its share of the standard deviation of w at the start, and the share of the steps until it has gone. */
const exploration = { strength: 0.05, until: 0.75 } as const;
const regulariserWeight = 1e5;

/** Learning rate of a step. */
export function projectionRate(step: number, steps: number): number {
  const t = step / steps;
  const down = Math.min(1, (1 - t) / rate.rampDown);
  return rate.peak * (0.5 - 0.5 * Math.cos(Math.PI * down)) * Math.min(1, t / rate.rampUp);
}

/** Standard deviation of the noise on w in a step, for a standard deviation `wStd` of w. */
export function explorationNoise(
  step: number,
  { steps, wStd }: { readonly steps: number; readonly wStd: number },
): number {
  return wStd * exploration.strength * Math.max(0, 1 - step / steps / exploration.until) ** 2;
}

export interface ProjectionLoss {
  readonly distance: number;
  readonly regulariser: number;
}

export interface Projection {
  /** w [L], one map [1, side, side, 1] per layer, moments and step count of Adam: all that a step changes, by name. */
  readonly variables: ReadonlyMap<string, tf.Variable>;
  /** One step; the loss is that before it, at the w with its noise. */
  step(number: number): ProjectionLoss;
  /** Pixels [R, R, C] of the present w and noise, about [-1, 1]. */
  image(): Float32Array;
  dispose(): void;
}

let projections = 0;

/** Mean [L] of latents [count, L] mapped for the model's class, and the root of their mean squared distance to it. */
export function latentStatistics(
  { weights, shape, labelsOf }: Pick<LoadedGenerator, 'weights' | 'shape' | 'labelsOf'>,
  latents: Float32Array,
): { readonly mean: Float32Array; readonly std: number } {
  const { latentSize } = shape;
  return tf.tidy(() => {
    const count = latents.length / latentSize;
    const rows = labelsOf(count);
    const labels = rows === null ? undefined : tf.tensor2d(rows, [count, shape.labels]);
    const w = mapping(weights, shape, tf.tensor2d(latents, [count, latentSize]), labels);
    const mean = tf.mean(w, 0);
    const std = tf.sqrt(tf.mean(tf.sum(tf.square(tf.sub(w, mean)), 1)));
    return { mean: mean.dataSync<'float32'>().slice(), std: std.dataSync()[0] ?? Number.NaN };
  });
}

/**
 * Prepares the projection of a target [R, R, C] in [-1, 1]. Start: w = `start.mean`, noise maps of the seed. The caller
 * disposes it.
 * @throws WeightsError when the file does not hold this generator
 */
export async function createProjection(options: {
  readonly model: GeneratorModel;
  readonly settings: EngineSettings;
  readonly target: Float32Array;
  readonly steps: number;
  /** Root of the noise streams. */
  readonly seed: number;
  /** Latents [count, L] whose styles give the start and its spread. */
  readonly latents: Float32Array;
}): Promise<Projection> {
  const { model, settings, target, steps, seed } = options;
  const { shape, weights, labelsOf, dispose } = await loadGenerator(model);
  const { resolution, channels, latentSize } = shape;
  const start = latentStatistics({ weights, shape, labelsOf }, options.latents);
  const prefix = `projection${projections++}`; // tfjs wants unique names
  const w = createVariable(`${prefix}/w`, [1, latentSize], start.mean);
  const maps = noiseSizes(shape).map((side, layer) => {
    const values = normals(side * side, createRng(seed, 'tools/projection/noise', layer));
    return createVariable(`${prefix}/noise${layer}`, [1, side, side, 1], values);
  });
  const optimised = [w, ...maps];
  const adam = createAdam({ name: `${prefix}/adam`, variables: optimised, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 });
  const own = [...optimised, ...adam.state];
  const render = (style: tf.Tensor2D): tf.Tensor4D =>
    synthesis(weights, shape, {
      ws: Array.from({ length: styleCount(shape) }, () => style),
      noise: maps as unknown as tf.Tensor4D[], // created with four dimensions
    });
  const style = w as unknown as tf.Tensor2D; // created with two dimensions
  const side = [1, resolution, resolution, channels] as const;
  const common = { settings, variables: [...weights.values(), ...own] };
  const step = compileStep({
    ...{ ...common, name: 'projectImage' },
    inputs: {
      target: { shape: side, dtype: 'float32' },
      wNoise: { shape: [1, latentSize], dtype: 'float32' },
      learningRate: { shape: [], dtype: 'float32' },
    },
    step: (inputs) => {
      const given = inputs as { target: tf.Tensor4D; wNoise: tf.Tensor2D; learningRate: tf.Scalar }; // as declared
      const parts: Record<string, tf.Tensor> = {};
      const { value, grads } = tf.variableGrads(() => {
        const distance = multiScaleDistance(render(tf.add(style, given.wNoise)), given.target);
        const regulariser = noiseRegulariser(maps as unknown as tf.Tensor4D[]); // as above
        Object.assign(parts, { distance: tf.keep(tf.clone(distance)), regulariser: tf.keep(tf.clone(regulariser)) });
        return tf.add(distance, tf.mul(regulariser, regulariserWeight));
      }, optimised);
      value.dispose();
      adam.apply(grads, { learningRate: given.learningRate });
      for (const map of maps) map.assign(normalised(map as unknown as tf.Tensor4D)); // as above
      return parts;
    },
  });
  const shown = compileStep({ ...common, name: 'projectedImage', inputs: {}, step: () => ({ image: render(style) }) });
  const targetTensor = tf.tensor4d(target, [...side]);
  return {
    variables: new Map(own.map((variable) => [variable.name.replaceAll(`${prefix}/`, ''), variable])),
    step: (number) => {
      const noise = normals(latentSize, createRng(seed, 'tools/projection/w', number));
      const strength = explorationNoise(number, { steps, wStd: start.std });
      const wNoise = tf.tensor2d(
        noise.map((value) => value * strength),
        [1, latentSize],
      );
      const learningRate = tf.scalar(projectionRate(number, steps));
      const outputs = step.run({ target: targetTensor, wNoise, learningRate });
      const value = (name: string): number => outputs[name]?.dataSync()[0] ?? Number.NaN;
      const loss = { distance: value('distance'), regulariser: value('regulariser') };
      tf.dispose([wNoise, learningRate, outputs]);
      return loss;
    },
    image: () => {
      const outputs = shown.run({});
      const pixels = outputs['image']?.dataSync<'float32'>().slice() ?? new Float32Array();
      tf.dispose(outputs);
      return pixels;
    },
    dispose: () => {
      step.dispose();
      shown.dispose();
      tf.dispose([targetTensor, ...own]);
      dispose();
    },
  };
}
