import { canonicalJson } from '../../contract/canonical-json.ts';
import { WeightsError } from '../errors.ts';
import { readTensorFile, writeTensorFile } from '../engine/tensor-file.ts';
import { tf } from '../engine/tf.ts';
import type { Model, ModelOptions } from './model.ts';
import { headLayers } from './network.ts';
import { sizeOf } from './shape-layers.ts';

/**
 * Weight files: every variable of the network under its Keras name (kernels HWIO, as Keras stores them), moving statistics
 * included, float32, with the network's description as metadata.
 */

/** Values of all variables, by Keras name. */
export type WeightValues = ReadonlyMap<string, Float32Array>;

type FileTensors = Awaited<ReturnType<typeof readTensorFile>>['tensors'];

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
  tensors: FileTensors,
  expected: readonly { readonly name: string; readonly shape: readonly number[] }[],
  options: { readonly file: string; readonly ignore?: (name: string) => boolean },
): Map<string, Float32Array> {
  const { file, ignore = () => false } = options;
  const differences: string[] = [];
  const taken = new Map<string, Float32Array>();
  for (const { name, shape } of expected) {
    const tensor = tensors.get(name);
    if (tensor === undefined) differences.push(`${name} is missing`);
    else if (tensor.shape.join() !== shape.join() || tensor.values.length !== sizeOf(shape))
      differences.push(`${name} has shape [${tensor.shape.join(', ')}], expected [${shape.join(', ')}]`);
    else if (!(tensor.values instanceof Float32Array)) differences.push(`${name} is ${tensor.dtype}, expected float32`);
    else taken.set(name, tensor.values);
  }
  const known = new Set(expected.map(({ name }) => name));
  for (const name of tensors.keys()) if (!known.has(name) && !ignore(name)) differences.push(`${name} is not expected`);
  if (differences.length > 0)
    throw new WeightsError(
      `${file} does not fit this classifier: ${firstOf(differences)}; give weights of the same network`,
    );
  return taken;
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
  const { tensors, metadata } = await readTensorFile(file);
  const differences = Object.entries(describe(options))
    .filter(([key, value]) => metadata[key] !== value)
    .map(([key, value]) => `${key} is ${metadata[key] ?? 'missing'}, expected ${value}`);
  if (differences.length > 0) throw new WeightsError(`${file} is of another classifier: ${firstOf(differences)}`);
  return takeWeights(tensors, expected, { file });
}

/**
 * Starts the trunk from a pretrained file; the head keeps its initial values. Size, scaling and head of the file's network may
 * differ, its trunk may not: WeightsError names the first differences.
 */
export async function loadPretrainedTrunk(model: Model, file: string): Promise<void> {
  const { tensors } = await readTensorFile(file);
  const isHead = (name: string): boolean => headLayers.includes(name.slice(0, name.indexOf('/')));
  const expected = model.plan.variables.filter(({ name }) => !isHead(name));
  assignWeights(model, takeWeights(tensors, expected, { file, ignore: isHead }));
}
