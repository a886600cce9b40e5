import type { ClassifierConfig } from '../../contract/study.ts';
import { tf } from '../engine/tf.ts';
import { createVariable } from '../engine/variables.ts';
import { createRng } from '../random.ts';
import { head, lastMaps, lastMixed, type Architecture, type LastMixed } from './network.ts';
import { planNetwork, sizeOf, type NetworkPlan, type VariableSpec } from './shape-layers.ts';
import { inferenceMode, tensorLayers, type Mode } from './tensor-layers.ts';

/** A network with its variables: what training, prediction and weight files share. */

export interface ModelOptions {
  /** First part of the variables' names in this process; one live model per name. */
  readonly name: string;
  readonly config: Pick<ClassifierConfig, 'width' | 'blocks' | 'headUnits' | 'inputScaling'>;
  /** Side of the square input, px. */
  readonly inputSize: number;
  readonly channels: 1 | 3;
}

export interface Model {
  readonly options: ModelOptions;
  readonly plan: NetworkPlan;
  /** By Keras name. */
  readonly variables: ReadonlyMap<string, tf.Variable>;
  /** images [N, S, S, channels], 0..255 -> features [N, F] and logits [N, 2]; both belong to the caller's tidy. */
  forward(images: tf.Tensor4D, mode: Mode): { readonly features: tf.Tensor2D; readonly logits: tf.Tensor2D };
  /** The parts of `forward`. Images -> inside of the last residual block; this -> maps of `conv_7b_ac` [N, h, w, F]. */
  lastMixed(images: tf.Tensor4D, mode: Mode): LastMixed<tf.Tensor4D>;
  lastMaps(inside: LastMixed<tf.Tensor4D>, mode: Mode): tf.Tensor4D;
  /** Both: images -> maps. */
  maps(images: tf.Tensor4D, mode: Mode): tf.Tensor4D;
  /** Maps -> features [N, F]; these -> logits [N, 2]. */
  pool(maps: tf.Tensor4D): tf.Tensor2D;
  head(features: tf.Tensor2D, mode: Mode): tf.Tensor2D;
  /** Both: maps -> features and logits. */
  tail(maps: tf.Tensor4D, mode: Mode): { readonly features: tf.Tensor2D; readonly logits: tf.Tensor2D };
  dispose(): void;
}

export const architectureOf = ({ width, blocks, headUnits }: ModelOptions['config']): Architecture => ({
  width,
  blocks,
  headUnits,
  classes: 2,
});

/** [N, S, S, 1 or 3], 0..255 -> [N, S, S, 3] in [-1, 1] (`symmetric`) or [0, 1] (`unit`). */
function scaleImages(images: tf.Tensor4D, { config, channels }: ModelOptions): tf.Tensor4D {
  const scaled: tf.Tensor4D =
    config.inputScaling === 'symmetric' ? tf.sub(tf.mul(images, 1 / 127.5), 1) : tf.mul(images, 1 / 255);
  return channels === 3 ? scaled : tf.tile(scaled, [1, 1, 1, 3]);
}

/** Initial values: Glorot uniform kernels from one stream per variable, zeros and ones elsewhere (evaluation.md 1.1). */
export function initialValues(
  spec: VariableSpec,
  options: { readonly seed: number; readonly stream: string },
): Float32Array {
  const values = new Float32Array(sizeOf(spec.shape));
  if (spec.initial === 'ones') values.fill(1);
  if (spec.initial === 'glorotUniform') {
    const [outputs = 1, inputs = 1, ...kernel] = [...spec.shape].reverse();
    const limit = Math.sqrt(6 / ((inputs + outputs) * sizeOf(kernel)));
    const rng = createRng(options.seed, `${options.stream}/initial/${spec.name}`);
    for (let i = 0; i < values.length; i++) values[i] = limit * (2 * rng() - 1);
  }
  return values;
}

/** Creates the variables of a network, filled by `values`. The caller disposes the model. */
export function createModel(options: ModelOptions, values: (spec: VariableSpec) => Float32Array): Model {
  const architecture = architectureOf(options.config);
  const plan = planNetwork(architecture, options.inputSize);
  const variables = new Map<string, tf.Variable>();
  for (const spec of plan.variables)
    variables.set(spec.name, createVariable(`${options.name}/${spec.name}`, spec.shape, values(spec), !spec.statistic));
  // Four dimensions before pooling.
  const inside: Model['lastMixed'] = (images, mode) =>
    lastMixed(tensorLayers(variables, mode), architecture, scaleImages(images, options)) as LastMixed<tf.Tensor4D>;
  const mapsOf: Model['lastMaps'] = (activations, mode) =>
    lastMaps<tf.Tensor>(tensorLayers(variables, mode), architecture, activations) as tf.Tensor4D;
  const maps: Model['maps'] = (images, mode) => mapsOf(inside(images, mode), mode);
  // Pooled over pixels: two dimensions from here.
  const pool: Model['pool'] = (activations) =>
    tensorLayers(variables, inferenceMode).globalAveragePool(activations) as tf.Tensor2D;
  const logitsOf: Model['head'] = (features, mode) =>
    head(tensorLayers(variables, mode), architecture, features) as tf.Tensor2D;
  const tail: Model['tail'] = (activations, mode) => {
    const features = pool(activations);
    return { features, logits: logitsOf(features, mode) };
  };
  return {
    options,
    plan,
    variables,
    lastMixed: inside,
    lastMaps: mapsOf,
    maps,
    pool,
    tail,
    head: logitsOf,
    forward: (images, mode) => tail(maps(images, mode), mode),
    dispose() {
      for (const variable of variables.values()) variable.dispose();
    },
  };
}
