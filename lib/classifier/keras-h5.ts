import { WeightsError } from '../errors.ts';
import { readHdf5, writeHdf5, type Hdf5Group } from './hdf5.ts';
import { creationNames, kerasName, type StoredWeight } from './keras-names.ts';

/** Weights in the layout of Keras 1 to 3 for `.h5` (evaluation.md 1.4): a group per layer, its weights listed in an attribute. */

/** Reads the weights of all layers, nested models included, and hands them to `use`, by creation name. */
export async function readKerasH5<T>(
  bytes: Uint8Array,
  file: string,
  use: (weights: ReadonlyMap<string, StoredWeight>) => T,
): Promise<T> {
  return await readHdf5(bytes, file, (root) => use(creationNames(listWeights(root, file), file)));
}

function listWeights(root: Hdf5Group, file: string): Map<string, StoredWeight> {
  // A whole model keeps its weights below `model_weights`.
  const top = root.hasAttribute('layer_names') ? root : root.group('model_weights');
  if (!top?.hasAttribute('layer_names'))
    throw new WeightsError(
      `${file} is an HDF5 file without Keras' layer_names, as a Keras 3 .weights.h5 is, which names no layer; ` +
        'save the model as model.h5 instead',
    );
  const weights = new Map<string, StoredWeight>();
  for (const layer of top.strings('layer_names')) {
    const group = top.group(layer);
    if (group === null) throw new WeightsError(`${file} lists the layer ${layer} but does not hold it`);
    if (!group.hasAttribute('weight_names')) continue;
    for (const weight of group.strings('weight_names')) {
      const data = group.data(weight);
      if (data === null) throw new WeightsError(`${file} lists the weight ${weight} but does not hold it`);
      const name = kerasName(weight, layer);
      if (weights.has(name)) throw new WeightsError(`${file} holds ${name} twice`);
      weights.set(name, data);
    }
  }
  return weights;
}

/**
 * Bytes of a weights file that Keras loads (`model.load_weights`, `InceptionResNetV2(weights=...)`): layers in `order`
 * (keras-order.ts), names as Keras 2 writes them, which Keras 3 reads as well.
 */
export async function encodeKerasH5(
  order: readonly string[],
  weights: readonly { readonly name: string; readonly shape: readonly number[]; readonly values: Float32Array }[],
): Promise<Uint8Array> {
  const ofLayer = (layer: string): typeof weights => weights.filter(({ name }) => name.startsWith(`${layer}/`));
  return await writeHdf5((writer) => {
    writer.attribute('/', 'layer_names', order);
    writer.attribute('/', 'backend', 'tensorflow');
    writer.attribute('/', 'keras_version', '2.15.0');
    for (const layer of order) {
      const own = ofLayer(layer);
      writer.group(`/${layer}`);
      writer.attribute(
        `/${layer}`,
        'weight_names',
        own.map(({ name }) => `${name}:0`),
      );
      writer.group(`/${layer}/${layer}`);
      for (const { name, values, shape } of own) writer.data(`/${layer}/${name}:0`, values, shape);
    }
  });
}
