import { canonicalJson } from '../../contract/canonical-json.ts';
import type { PretrainedWeights } from '../../contract/manifests.ts';
import { WeightsError } from '../errors.ts';
import { withTensorFile, writeTensorFile } from '../engine/tensor-file.ts';
import { tf } from '../engine/tf.ts';
import type { StoredWeight } from './keras-names.ts';
import type { Model, ModelOptions } from './model.ts';
import { headLayers } from './network.ts';
import { maxWeightFileBytes } from './shape-layers.ts';
import { storedWeights, withWeightFile } from './weight-file.ts';

/**
 * Weight files: every variable of the network under its Keras name (kernels HWIO, as Keras stores them), moving statistics
 * included, float32, with the network's description as metadata.
 */

/** Values of all variables, by Keras name. */
export type WeightValues = ReadonlyMap<string, Float32Array>;

const format = 'echoforge-classifier';

/** What a weight file says about its network; prediction refuses a file that says otherwise. */
function describe({ config, inputSize, channels }: ModelOptions): Record<string, string> {
  const { width, blocks, headUnits, inputScaling } = config;
  const facts = { width, blocks, headUnits, inputScaling, inputSize, channels };
  const entries = Object.entries(facts).map(([key, value]) => [key, canonicalJson(value)]);
  return { format, formatVersion: '1', ...(Object.fromEntries(entries) as Record<string, string>) }; // strings, by the line above
}

export function copyWeights(model: Model): WeightValues {
  const copy = (variable: tf.Variable): Float32Array => Float32Array.from(variable.dataSync());
  return new Map([...model.variables].map(([name, variable]) => [name, copy(variable)]));
}

/** Tensors of `values` by name with `prefix`; the caller disposes. */
export function weightTensors(model: Model, values: WeightValues, prefix = ''): Record<string, tf.Tensor> {
  const tensors: Record<string, tf.Tensor> = {};
  for (const { name, shape } of model.plan.variables) {
    const value = values.get(name);
    if (value === undefined) throw new RangeError(`no value for the variable "${name}"`);
    tensors[prefix + name] = tf.tensor(value, [...shape]);
  }
  return tensors;
}

export async function writeWeights(file: string, model: Model, values: WeightValues): Promise<void> {
  const tensors = weightTensors(model, values);
  try {
    await writeTensorFile(file, tensors, describe(model.options));
  } finally {
    tf.dispose(tensors);
  }
}

/** First few of a list of differences, for a message. */
export function firstOf(differences: readonly string[], limit = 5): string {
  const rest = differences.length - limit;
  return differences.slice(0, limit).join('; ') + (rest > 0 ? `; and ${rest} more` : '');
}

/**
 * Values of `expected` (name and shape) from a file's tensors. Throws WeightsError naming what is missing, misshapen or, unless
 * `ignore` accepts its name, not expected. Nothing is assigned before all of it is checked.
 */
export function takeWeights(
  tensors: ReadonlyMap<string, StoredWeight>,
  expected: readonly { readonly name: string; readonly shape: readonly number[] }[],
  options: { readonly file: string; readonly ignore?: (name: string) => boolean },
): Map<string, Float32Array> {
  const { file, ignore = () => false } = options;
  const differences: string[] = [];
  for (const { name, shape } of expected) {
    const tensor = tensors.get(name);
    if (tensor === undefined) differences.push(`${name} is missing`);
    else if (tensor.shape.join() !== shape.join())
      differences.push(`${name} has shape [${tensor.shape.join(', ')}], expected [${shape.join(', ')}]`);
    else if (tensor.dtype !== 'float32') differences.push(`${name} is ${tensor.dtype}, expected float32`);
  }
  const known = new Set(expected.map(({ name }) => name));
  for (const name of tensors.keys()) if (!known.has(name) && !ignore(name)) differences.push(`${name} is not expected`);
  if (differences.length > 0)
    throw new WeightsError(
      `${file} does not fit the network: ${firstOf(differences)}; give weights of the same network`,
    );
  // Only now are values read, and only what the network itself asks for.
  return new Map(expected.map(({ name }) => [name, tensors.get(name)?.read() ?? new Float32Array()]));
}

/** Sets variables by Keras name; the values were checked by takeWeights. */
export function assignWeights(model: Model, values: WeightValues): void {
  for (const [name, value] of values) {
    const variable = model.variables.get(name);
    if (variable === undefined) throw new RangeError(`the network has no variable "${name}"`);
    tf.tidy(() => variable.assign(tf.tensor(value, variable.shape)));
  }
}

/** Reads a file of `writeWeights` for prediction. Throws WeightsError when it is of another network, size or scaling. */
export async function readWeights(
  file: string,
  options: ModelOptions,
  expected: Model['plan']['variables'],
): Promise<WeightValues> {
  return await withTensorFile(file, ({ tensors, metadata }) => {
    const differences = Object.entries(describe(options))
      .filter(([key, value]) => metadata[key] !== value)
      .map(([key, value]) => `${key} is ${metadata[key] ?? 'missing'}, expected ${value}`);
    if (differences.length > 0) throw new WeightsError(`${file} is of another classifier: ${firstOf(differences)}`);
    return takeWeights(storedWeights(tensors), expected, { file });
  });
}

/**
 * Starts the trunk from a pretrained file of any known form (weight-file.ts); the head keeps its initial values. Size, scaling
 * and head of the file's network may differ, its trunk may not: WeightsError names the first differences, and nothing is
 * assigned. Returns what the file is.
 */
export async function loadPretrainedTrunk(model: Model, file: string): Promise<PretrainedWeights> {
  const isHead = (name: string): boolean => headLayers.includes(name.slice(0, name.indexOf('/')));
  const expected = model.plan.variables.filter(({ name }) => !isHead(name));
  return await withWeightFile(file, { maxBytes: maxWeightFileBytes(model.plan) }, (weights, source) => {
    const dense = denseLayers(weights);
    const ignore = (name: string): boolean => isHead(name) || dense.has(name.slice(0, name.lastIndexOf('/')));
    const taken = takeWeights(weights, expected, { file, ignore });
    refuseBadValues(taken, file);
    assignWeights(model, taken);
    return source;
  });
}

/** Fully connected layers of any name belong to the head of the file's network. */
function denseLayers(weights: ReadonlyMap<string, StoredWeight>): Set<string> {
  const kernels = [...weights].filter(([name, { shape }]) => name.endsWith('/kernel') && shape.length === 2);
  return new Set(kernels.map(([name]) => name.slice(0, name.lastIndexOf('/'))));
}

/** @throws WeightsError naming the first values that are not finite, or negative variances */
export function refuseBadValues(values: WeightValues, file: string): void {
  const bad: string[] = [];
  for (const [name, weight] of values) {
    const least = name.endsWith('/moving_variance') ? 0 : Number.NEGATIVE_INFINITY;
    const index = weight.findIndex((value) => !Number.isFinite(value) || value < least);
    if (index >= 0) bad.push(`${name}[${index}] is ${weight[index] ?? ''}`);
  }
  if (bad.length > 0) throw new WeightsError(`${file} holds values that no trained network has: ${firstOf(bad)}`);
}
