import { recipe } from '../../bench/reference/integer-recipe.ts';
import { loadEngine } from '../../lib/engine/backend.ts';
import { writeTensorFile } from '../../lib/engine/tensor-file.ts';
import { tf } from '../../lib/engine/tf.ts';
import { planInception } from '../../lib/metrics/inception-2015.ts';
import { inceptionFormat } from '../../lib/metrics/inception-features.ts';

/** A file as inception_2015_convert.py writes it, with the recipe's weights in place of the published ones, which no test has. */
export async function writeInceptionWeights(
  file: string,
  { metadata = inceptionFormat, only = () => true }: InceptionFileOptions = {},
): Promise<void> {
  await loadEngine();
  const specs = planInception().variables.filter(({ name }) => only(name));
  const tensors = Object.fromEntries(specs.map((spec) => [spec.name, tf.tensor(recipe(spec), [...spec.shape])]));
  await writeTensorFile(file, tensors, metadata);
  tf.dispose(tensors);
}

interface InceptionFileOptions {
  readonly metadata?: Readonly<Record<string, string>>;
  readonly only?: (name: string) => boolean;
}
