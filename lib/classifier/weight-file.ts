import { readFile, stat } from 'node:fs/promises';
import type { PretrainedWeights } from '../../contract/manifests.ts';
import { WeightsError } from '../errors.ts';
import { withTensorFile, type TensorFile } from '../engine/tensor-file.ts';
import { readKerasH5 } from './keras-h5.ts';
import type { StoredWeight } from './keras-names.ts';
import { readTfjsWeights } from './tfjs-layers.ts';
import { identifyWeights } from './weight-format.ts';

/** Weights of InceptionResNetV2 in whatever form they come; the form is told by the content, never by the name. */

/** MD5 of the files that Keras itself publishes (evaluation.md 1.4). */
const officialFiles: ReadonlyMap<string, string> = new Map([
  ['e693bd0210a403b3192acc6073ad2e96', "Keras' ImageNet weights with top"],
  ['d19885ff4a710c122648d3b5c3b684e4', "Keras' ImageNet weights without top"],
]);

/**
 * Opens `file` and hands its weights, by creation name (`conv2d_1/kernel`), to `use`; they can be read until it returns.
 * @throws WeightsError when it is none of the known forms, is damaged, or is larger than `maxBytes`
 */
export async function withWeightFile<T>(
  file: string,
  { maxBytes }: { readonly maxBytes: number },
  use: (weights: ReadonlyMap<string, StoredWeight>, source: PretrainedWeights) => T,
): Promise<T> {
  const { size } = await stat(file);
  if (size > maxBytes)
    throw new WeightsError(`${file} has ${size} bytes, more than weights of this network can have (${maxBytes})`);
  const { format, sha256, md5 } = await identifyWeights(file);
  const source = { format, sha256, official: format === 'keras-h5' ? (officialFiles.get(md5) ?? null) : null };
  switch (format) {
    case 'keras-h5':
      return await readKerasH5(await readFile(file), file, (weights) => use(weights, source));
    case 'tfjs-layers':
      return use(await readTfjsWeights(file, { maxBytes }), source);
    case 'safetensors':
      return await withTensorFile(file, ({ tensors }) => use(storedWeights(tensors), source));
  }
}

/** Tensors of a file of our own as weights, read when they are asked for. */
export function storedWeights(tensors: TensorFile['tensors']): Map<string, StoredWeight> {
  return new Map(
    [...tensors].map(([name, tensor]) => {
      const read = (): Float32Array => {
        const { values } = tensor;
        return values instanceof Float32Array ? values : new Float32Array();
      };
      return [name, { shape: tensor.shape, dtype: tensor.dtype, read }];
    }),
  );
}
